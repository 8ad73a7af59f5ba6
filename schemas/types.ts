// Generated from *.avsc by `npm run generate`; do not edit.

/** Row of a finished rollout in assemble-rollouts, kept for a while to recognise late spans. */
export type AssemblyClosed = {
  /** The attempt that counted. */
  attempt_id: string;
  /** Log time of the end. */
  closed_at: number;
  /** Spans that came too late. */
  late: number;
  /** Offset in spans of the final mark. */
  mark_offset: number;
  /** Last revision that was written. */
  revision: number;
  /** Digest of the steps, reasons and rewards of that revision; empty once the grace is over. */
  written: string;
};

/** How rewards become advantages; the names of processors/credit/. */
export type Credit = {
  /** A name from the registry of strategies, e.g. group-relative. */
  strategy: string;
  /** Numbers the strategy takes, e.g. gamma. */
  parameters: { [name: string]: number };
  /** Words the strategy takes, e.g. the fallback of an external one. */
  options: { [name: string]: string };
};

/** The mark behind everything an attempt's agent had acknowledged; written once per attempt by track-rollouts. */
export type AttemptEnded = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** The attempt that ended. */
  attempt_id: string;
  /** 1 for the first attempt. */
  attempt_sequence_id: number;
  /** Status it ended with. */
  attempt_status: string;
  /** True when the rollout ended with it; only then steps are made. */
  final: boolean;
  /** Status of the rollout. */
  rollout_status: string;
  /** train, val, test or null. */
  mode: string | null;
  /** Resource set the rollout runs with. */
  resources_id: string | null;
  /** Version of that set when the rollout was enqueued. */
  resources_version: number | null;
  /** Rollouts that share a baseline; the rollout id when it has no group. */
  group_id: string;
  /** How many rollouts the group has; 1 when alone. */
  group_size: number;
  /** How long after its first member ended an incomplete group is closed anyway. */
  group_deadline_seconds: number;
  /** Credit strategy carried by the rollout. */
  credit: Credit;
  /** Which calls become steps and how rewards are matched to them: JSON object, read by processors/traces/selection.ts. */
  selection: string;
  /** How long late spans still count. */
  grace_seconds: number;
  /** JSON object of the rollout. */
  metadata: string;
  /** Log time of the enqueue. */
  enqueued_at: number;
  /** Log time the attempt started. */
  started_at: number;
  /** Log time of the end. */
  ended_at: number;
  /** Offset in requests of the request that ended it. */
  request_offset: number;
};

/** A batch of whole groups was given to a worker. */
export type BatchLeased = {
  /** Namespace of the experiment. */
  project: string;
  /** The batch; the Kafka key. */
  batch_id: string;
  /** The lease it was given out under. */
  lease_id: string;
  /** Who took it. */
  worker_id: string;
  /** Group ids, all whole. */
  groups: (string)[];
  /** Rows in it. */
  transitions: number;
  /** Action and state tokens in it. */
  tokens: number;
  /** 1 the first time; larger when a group in it was given out before. */
  delivery: number;
  /** Newest policy version known when it was leased. */
  policy_version: number | null;
  /** How many versions its oldest row is behind that. */
  max_staleness: number | null;
  /** When. */
  leased_at: number;
  /** When the lease ends unless extended. */
  expires_at: number;
};

/** A batch will be given out again, or its groups were left out. */
export type BatchReturned = {
  /** Namespace of the experiment. */
  project: string;
  /** The batch; the Kafka key. */
  batch_id: string;
  /** The lease it was given out under. */
  lease_id: string;
  /** Who took it. */
  worker_id: string;
  /** Group ids. */
  groups: (string)[];
  /** Rows. */
  transitions: number;
  /** Delivery that came back. */
  delivery: number;
  /** expired and refused (the worker said no): given out again. Never trained: stale (too many versions behind), equal-rewards (withheld), exhausted (came back too often), superseded (revised), mode (not one that is trained), empty, incomplete (rows missing in the log). */
  reason: string;
  /** What the worker said. */
  detail: string | null;
  /** When. */
  returned_at: number;
};

/** A worker acknowledged a batch; in one transaction with the resource version it made and the offsets. */
export type BatchTrained = {
  /** Namespace of the experiment. */
  project: string;
  /** The batch; the Kafka key. */
  batch_id: string;
  /** The lease it was given out under. */
  lease_id: string;
  /** Who took it. */
  worker_id: string;
  /** Group ids that will never be given out again. */
  groups: (string)[];
  /** Rows in it. */
  transitions: number;
  /** Delivery that was acknowledged. */
  delivery: number;
  /** Numbers the worker reports, e.g. loss. */
  metrics: { [name: string]: number };
  /** Resource set it made a version of. */
  resources_id: string | null;
  /** That version. */
  resources_version: number | null;
  /** When. */
  trained_at: number;
};

/** Where in the log a derived record comes from. */
export type Provenance = {
  /** Topic of the first and last source record. */
  topic: string;
  /** Partition. */
  partition: number;
  /** Offset of the first source record. */
  first_offset: number;
  /** Offset of the last source record. */
  last_offset: number;
};

/** Why an LLM call gave no transition, or a rollout none at all. */
export type CallOmitted = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about. */
  rollout_id: string;
  /** Group of the rollout; the Kafka key. */
  group_id: string;
  /** The attempt that counts. */
  attempt_id: string;
  /** Span of the call; empty when the reason is about the whole rollout. */
  span_id: string;
  /** Name of the agent that made the call; empty when unknown. */
  agent: string;
  /** Model name; empty when unknown. */
  model: string;
  /** One of the reasons of processors/traces/omissions.ts, e.g. not-selected. */
  reason: string;
  /** The reason in words, with what was read. */
  detail: string;
  /** Revision of the steps or transitions it belongs to. */
  revision: number;
  /** Where the call and the mark stand in spans. */
  provenance: Provenance;
};

/** Asks to cancel a rollout that has not finished. */
export type CancelRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Chosen by whoever asks, kept over retries: a repeated id is recognised and applied once. */
  request_id: string;
  /** Clock of whoever asks; information only, the log's own timestamp decides. */
  requested_at: number;
};

/** Asks to start the next attempt of a rollout; the first valid claim in log order wins. */
export type ClaimRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Chosen by whoever asks, kept over retries: a repeated id is recognised and applied once. */
  request_id: string;
  /** Clock of whoever asks; information only, the log's own timestamp decides. */
  requested_at: number;
  /** Who claims. */
  worker_id: string | null;
  /** True: start an attempt whatever the rollout's status and number of attempts. */
  forced: boolean;
};

/** Credit of one rollout. */
export type CreditOfMember = {
  /** The rollout. */
  rollout_id: string;
  /** One per step, in order; finite. */
  advantages: (number)[];
  /** One per step, or empty: the same as the advantages. */
  returns: (number)[];
};

/** What an external strategy answers to CreditRequested. */
export type CreditAssigned = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The group; the Kafka key. */
  group_id: string;
  /** Revision it was asked for. */
  revision: number;
  /** Every member of the request. */
  members: (CreditOfMember)[];
};

/** A step of a member, as an external strategy sees it. */
export type CreditStep = {
  /** Position in the rollout. */
  step_index: number;
  /** Span of the call. */
  span_id: string;
  /** Name of the agent; empty when unknown. */
  agent: string;
  /** Resource the call trains; empty when none. */
  policy: string;
  /** What the model saw, as JSON text (OpenAI messages). */
  messages: string;
  /** What it generated, as JSON text (an OpenAI message). */
  completion: string;
  /** Tokens of the action. */
  response_tokens: number;
  /** Reward matched to it; null when none. */
  reward: number | null;
  /** Named dimensions. */
  rewards: { [name: string]: number };
};

/** A rollout of a group, as an external strategy sees it. */
export type CreditMember = {
  /** The rollout. */
  rollout_id: string;
  /** Final reward; null when none. */
  reward: number | null;
  /** Status the rollout ended with. */
  status: string;
  /** JSON object of the rollout. */
  metadata: string;
  /** In order. */
  steps: (CreditStep)[];
};

/** A closed group whose credit somebody else's processor is to compute; it answers with CreditAssigned in steps, under the same key. */
export type CreditRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The group; the Kafka key. */
  group_id: string;
  /** Which revision of the group; the answer must repeat it. */
  revision: number;
  /** Strategy, parameters and options the group asked for. */
  credit: Credit;
  /** Log time after which the fallback is used. */
  deadline: number;
  /** The group, by rollout id. */
  members: (CreditMember)[];
};

/** A record that can never succeed, kept whole. */
export type DeadLettered = {
  /** Processor or sink that refused it. */
  reader: string;
  /** Topic it stands in. */
  topic: string;
  /** Partition. */
  partition: number;
  /** Offset. */
  offset: number;
  /** Its Kafka timestamp. */
  timestamp: number;
  /** Its key. */
  key: Uint8Array | null;
  /** Its bytes. */
  value: Uint8Array | null;
  /** Its headers. */
  headers: { [name: string]: Uint8Array };
  /** Error code. */
  code: string;
  /** What was wrong, naming the field where there is one. */
  reason: string;
  /** When it was refused. */
  at: number;
};

/** Asks to end an attempt with a terminal status. */
export type EndRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Chosen by whoever asks, kept over retries: a repeated id is recognised and applied once. */
  request_id: string;
  /** Clock of whoever asks; information only, the log's own timestamp decides. */
  requested_at: number;
  /** The attempt; latest is resolved in log order. */
  attempt_id: string;
  /** succeeded or failed. */
  status: string;
  /** What went wrong, for people. */
  error: string | null;
};

/** Limits and retry rule of a rollout. */
export type TaskConfig = {
  /** An attempt older than this times out; null: never. */
  timeout_seconds: number | null;
  /** An attempt silent for longer is unresponsive; null: never. */
  unresponsive_seconds: number | null;
  /** At least 1. */
  max_attempts: number;
  /** Attempt statuses that put the rollout back into the queue while attempts remain. */
  retry_condition: (string)[];
  /** How long after the end of an attempt late spans still count; 0: not at all. */
  grace_seconds: number;
  /** A claim followed by nothing for this long goes back to the queue; null: never. */
  claim_seconds: number | null;
  /** How long a finished rollout stays in memory and on the topic before only ClickHouse has it. */
  retention_seconds: number;
};

/** Asks that a task becomes a rollout in the queue, or a running one when it names a worker to start it at once. */
export type EnqueueRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Chosen by whoever asks, kept over retries: a repeated id is recognised and applied once. */
  request_id: string;
  /** Clock of whoever asks: the place in the queue, as far as the log's own timestamp agrees within 2 s. */
  requested_at: number;
  /** The task as JSON text. */
  input: string;
  /** train, val, test or null. */
  mode: string | null;
  /** Resource set the rollout runs with. */
  resources_id: string | null;
  /** Version of that set when the rollout was enqueued. */
  resources_version: number | null;
  /** Limits and retry rule. */
  config: TaskConfig;
  /** A JSON object of the caller's own. */
  metadata: string;
  /** Rollouts that share a baseline; the rollout id when it has no group. */
  group_id: string;
  /** How many rollouts the group has; 1 when alone. */
  group_size: number;
  /** How long after its first member ended an incomplete group is closed anyway. */
  group_deadline_seconds: number;
  /** Strategy in force for the project when it was enqueued. */
  credit: Credit;
  /** Which calls become steps and how rewards are matched to them: JSON object, read by processors/traces/selection.ts. */
  selection: string;
  /** True: claim it in the same step, never queued. */
  start: boolean;
  /** Who starts it, with start. */
  worker_id: string | null;
};

/** Closes a group on transitions: a trainer that has counted this many rows has the whole group. */
export type GroupClosed = {
  /** Namespace of the experiment. */
  project: string;
  /** Group; the Kafka key. */
  group_id: string;
  /** complete, or deadline when members were missing. */
  reason: string;
  /** Members it was to have. */
  group_size: number;
  /** Rollout ids that took part. */
  members: (string)[];
  /** Rows sent before this one. */
  transitions: number;
  /** Transitions not written because the credit strategy's options withhold them. */
  withheld: number;
  /** Mode of the group's rollouts. */
  mode: string | null;
  /** Resource set the group ran with. */
  resources_id: string | null;
  /** Mean final reward over members that have one. */
  mean_reward: number | null;
  /** Sample standard deviation; null with fewer than two. */
  std_reward: number | null;
  /** True when every member got the same reward: every group-relative advantage is 0. */
  equal_rewards: boolean;
  /** Oldest policy version among the rows. */
  min_policy_version: number | null;
  /** Newest policy version among the rows. */
  max_policy_version: number | null;
  /** Strategy in force. */
  credit: Credit;
  /** Log time of the closing. */
  closed_at: number;
  /** 0; larger when a late reward revised the group. */
  revision: number;
  /** Transitions that the revision before had; 0 when there were none, -1 when it is not known. */
  replaces: number;
};

/** Row of a group in assign-credit: when it is due, or that it was closed. */
export type GroupNoted = {
  /** Log time its first member ended. */
  first_at: number;
  /** When it is closed anyway. */
  deadline: number;
  /** True: closed; kept for a while to recognise latecomers. */
  closed: boolean;
  /** Members it is to have, as its members say. */
  group_size: number;
  /** Rollout ids of the members that are there with all their steps. */
  members: (string)[];
  /** Last revision that was written. */
  revision: number;
  /** Transitions of that revision. */
  transitions: number;
  /** Digest of what was written last, so that an equal revision is not written again. */
  written: string;
  /** When an external strategy was asked; null when it was not. */
  asked_at: number | null;
};

/** Row in the trainer's changelog, beside the last record of each recent batch: deliveries of a group, and that it needs no more. */
export type GroupTrained = {
  /** True: acknowledged or left out. */
  done: boolean;
  /** How often it was given out. */
  deliveries: number;
  /** Last batch it was in. */
  batch_id: string | null;
  /** Offset in transitions of the group's closing record. */
  offset: number;
};

/** Says that an attempt is alive; spans arriving at a gateway say so too, at most once a second. */
export type HeartbeatRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Chosen by whoever asks, kept over retries: a repeated id is recognised and applied once. */
  request_id: string;
  /** Clock of whoever asks; information only, the log's own timestamp decides. */
  requested_at: number;
  /** The attempt that is alive. */
  attempt_id: string;
  /** True: a span arrived; it also revives an unresponsive attempt. */
  by_span: boolean;
};

/** Asks to change fields of a rollout or of one of its attempts; absent fields stay. */
export type PatchRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Chosen by whoever asks, kept over retries: a repeated id is recognised and applied once. */
  request_id: string;
  /** Clock of whoever asks; information only, the log's own timestamp decides. */
  requested_at: number;
  /** Null: the rollout itself. */
  attempt_id: string | null;
  /** JSON object of the fields to set; null values clear where the field allows it. */
  patch: string;
  /** Apply only when the status is this one. */
  expected_status: string | null;
  /** True: a patch of the latest attempt moves the rollout's status also when the rollout is cancelled. */
  rederive: boolean;
};

/** Where a reader stands: written to its changelog in the same transaction as what it made. */
export type PositionReached = {
  /** First input offset not yet processed. */
  next_offset: number;
  /** Sinks: last offset of the delivery about to be written, so that a replay has the same boundaries. */
  intent_offset: number | null;
  /** Largest record timestamp seen, ms since epoch. */
  stream_time: number;
  /** Instance that wrote it, for people. */
  epoch: string;
  /** When. */
  at: number;
};

/** Settings of a project; gateways stamp them on every rollout enqueued afterwards. */
export type ProjectConfigured = {
  /** The project; the Kafka key. */
  project: string;
  /** Grows by 1. */
  version: number;
  /** Credit strategy of new rollouts. */
  credit: Credit;
  /** Which calls become steps and how rewards are matched to them: JSON object, read by processors/traces/selection.ts. */
  selection: string;
  /** Deadline of incomplete groups. */
  group_deadline_seconds: number;
  /** How long late spans count. */
  grace_seconds: number;
  /** When. */
  updated_at: number;
};

/** One named resource. */
export type Resource = {
  /** Name the agent looks it up by, e.g. main_llm. */
  name: string;
  /** llm, proxy_llm, prompt_template or weights. */
  kind: string;
  /** The resource as a JSON object. */
  json: string;
  /** Weights inline, when small; otherwise json holds uri and sha256. */
  blob: Uint8Array | null;
};

/** A new version of a resource set: prompt templates, LLM endpoints, policy weights. */
export type ResourcesUpdated = {
  /** Namespace of the experiment. */
  project: string;
  /** Resource set; with the project it is the Kafka key. */
  resources_id: string;
  /** 1 for the first; grows by 1. */
  version: number;
  /** When the set was first made. */
  created_at: number;
  /** When this version was made. */
  updated_at: number;
  /** The whole set. */
  resources: (Resource)[];
  /** The training batch that made it, when one did. */
  batch_id: string | null;
  /** Id of the request that made it; retries are recognised. */
  request_id: string | null;
};

/** Closes a rollout on steps: how many steps were sent, and what its group needs to know. */
export type RolloutAssembled = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Rollouts that share a baseline; the rollout id when it has no group. */
  group_id: string;
  /** How many rollouts the group has; 1 when alone. */
  group_size: number;
  /** How long after its first member ended an incomplete group is closed anyway. */
  group_deadline_seconds: number;
  /** The attempt that counts. */
  attempt_id: string | null;
  /** succeeded, failed, cancelled, or abandoned when spans came but never an end. */
  status: string;
  /** train, val, test or null. */
  mode: string | null;
  /** Resource set the rollout runs with. */
  resources_id: string | null;
  /** Version of that set when the rollout was enqueued. */
  resources_version: number | null;
  /** Credit strategy carried by the rollout. */
  credit: Credit;
  /** Which calls become steps and how rewards are matched to them: JSON object, read by processors/traces/selection.ts. */
  selection: string;
  /** Step records sent before this one. */
  steps: number;
  /** LLM calls its spans hold; steps may be fewer, for the reasons in CallOmitted. */
  calls: number;
  /** CallOmitted records written for it. */
  omitted: number;
  /** Distinct spans read. */
  spans: number;
  /** Final reward: the last one emitted; null when none. */
  reward: number | null;
  /** Other named dimensions of the final reward. */
  rewards: { [name: string]: number };
  /** Rewards that were not finite numbers and were left out. */
  invalid_rewards: number;
  /** Rewards that found no call. */
  unmatched_rewards: number;
  /** Rewards that came behind the mark and within the grace. */
  late_rewards: number;
  /** How long after its end late spans may still revise it, as its mark says; 0: not at all, its group need not be kept. */
  grace_seconds: number;
  /** 0; grows by 1 with each late reward that changes the steps. */
  revision: number;
  /** Log time of the enqueue. */
  enqueued_at: number | null;
  /** Log time of the end. */
  ended_at: number;
  /** JSON object of the rollout. */
  metadata: string;
  /** Offsets in spans of the first span and of the mark. */
  provenance: Provenance;
};

/** One try at a rollout. */
export type Attempt = {
  /** Derived from the request that started it. */
  attempt_id: string;
  /** 1 for the first. */
  sequence_id: number;
  /** preparing, running, failed, succeeded, unresponsive or timeout. */
  status: string;
  /** Who claimed it. */
  worker_id: string | null;
  /** Log time of the claim. */
  started_at: number;
  /** Log time of the end. */
  ended_at: number | null;
  /** Log time of the last sign of life. */
  last_heartbeat_at: number | null;
  /** JSON object or null. */
  metadata: string | null;
};

/** What a request for sequence numbers was answered. */
export type SequenceGiven = {
  /** The request. */
  request_id: string;
  /** First number it was given. */
  first: number;
};

/** A rollout and its attempts after an accepted change. Everything needed to go on folding from here. */
export type RolloutChanged = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** queuing, preparing, running, failed, succeeded, cancelled or requeuing. */
  status: string;
  /** The task as JSON text. */
  input: string;
  /** train, val, test or null. */
  mode: string | null;
  /** Resource set the rollout runs with. */
  resources_id: string | null;
  /** Version of that set when the rollout was enqueued. */
  resources_version: number | null;
  /** Limits and retry rule. */
  config: TaskConfig;
  /** JSON object. */
  metadata: string;
  /** Rollouts that share a baseline; the rollout id when it has no group. */
  group_id: string;
  /** How many rollouts the group has; 1 when alone. */
  group_size: number;
  /** How long after its first member ended an incomplete group is closed anyway. */
  group_deadline_seconds: number;
  /** Credit strategy carried by the rollout. */
  credit: Credit;
  /** Which calls become steps and how rewards are matched to them: JSON object, read by processors/traces/selection.ts. */
  selection: string;
  /** Log time of the enqueue. */
  enqueued_at: number;
  /** The FIFO order: when its enqueue was asked for, or the log time of its last return to the queue. */
  queued_at: number;
  /** True: it left the queue without being claimed from it, so a return takes the place it had. */
  keeps_place: boolean;
  /** Log time of the end. */
  ended_at: number | null;
  /** Oldest first. */
  attempts: (Attempt)[];
  /** Next span sequence number to hand out. */
  next_sequence_id: number;
  /** Ids of the last requests, to recognise retries. */
  recent_requests: (string)[];
  /** The last requests for sequence numbers and their answers, to answer retries alike. */
  recent_sequences: (SequenceGiven)[];
  /** How many of the attempts, from the oldest, have their AttemptEnded mark. */
  marked_attempts: number;
  /** Offset in requests of the request that made this. */
  request_offset: number;
  /** What went wrong, for people. */
  error: string | null;
};

/** Reserves span sequence numbers of a rollout. */
export type SequenceRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Chosen by whoever asks, kept over retries: a repeated id is recognised and applied once. */
  request_id: string;
  /** Clock of whoever asks; information only, the log's own timestamp decides. */
  requested_at: number;
  /** How many; 0 only raises the counter. */
  count: number;
  /** Raise the counter to at least this number first. */
  at_least: number | null;
  /** Attempt whose first spans the numbers are for: a sign of its life as well; null: none. */
  attempt_id: string | null;
};

/** A further choice of a call that asked for several (n > 1). */
export type Choice = {
  /** What it generated, as JSON text (an OpenAI message). */
  completion: string;
  /** Token ids of the action, int32 little endian. */
  response_ids: Uint8Array;
  /** Log-probability of each action token when sampled, float32 little endian; empty when unknown. */
  logprobs: Uint8Array;
  /** Why generation stopped. */
  finish_reason: string | null;
};

/** An LLM call. */
export type Call = {
  /** Span of the call. */
  span_id: string;
  /** Trace of the call. */
  trace_id: string;
  /** Id the engine gave its response. */
  response_id: string | null;
  /** Model name; empty when unknown. */
  model: string;
  /** Version of the policy that generated the action: as the engine said, else the rollout's resources version. */
  policy_version: number | null;
  /** What the model saw, as JSON text (OpenAI messages). */
  messages: string;
  /** What it generated, as JSON text (an OpenAI message). */
  completion: string;
  /** Tool definitions it was given, as JSON text. */
  tools: string | null;
  /** Token ids of the state, int32 little endian. */
  prompt_ids: Uint8Array;
  /** Token ids of the action, int32 little endian. */
  response_ids: Uint8Array;
  /** Log-probability of each action token when sampled, float32 little endian; empty when unknown. */
  logprobs: Uint8Array;
  /** Why generation stopped. */
  finish_reason: string | null;
  /** Tokens in, as the engine counted. */
  prompt_tokens: number;
  /** Tokens out, as the engine counted. */
  completion_tokens: number;
  /** Start of the call. */
  start_time: number;
  /** End of the call. */
  end_time: number;
  /** Id the agent gave the state it acted in (lightning.state.id); null when none. */
  state_id: string | null;
  /** Potential of that state the agent emitted (lightning.state.potential); null when none. */
  potential: number | null;
  /** Sampling temperature asked for; null when unknown. */
  temperature: number | null;
  /** Nucleus sampling bound asked for; null when unknown. */
  top_p: number | null;
  /** Why the call failed; null when it did not. */
  error: string | null;
  /** Choices 1 and on; choice 0 stands above. */
  choices: (Choice)[];
  /** Response whose conversation the messages continue (OpenAI's Responses API); null when they are whole. */
  previous_response_id: string | null;
  /** How many messages at the beginning are instructions, which a response that continues this one does not inherit. */
  instructions: number;
};

/** What a span says it is about: spans with this attribute value. */
export type Link = {
  /** Attribute name; trace_id and span_id mean the span's own ids. */
  key: string;
  /** Value it must have. */
  value: string;
};

/** A span a reward links to, as OpenTelemetry links spans. */
export type RewardedSpan = {
  /** Its trace. */
  trace_id: string;
  /** Its id. */
  span_id: string;
  /** Choice of the call that is meant, from 0, as text (lightning.choice of the link); null: all. */
  choice: string | null;
};

/** Row of an open rollout in assemble-rollouts: what a span contributes, the rest of it already read. */
export type SpanKept = {
  /** Attempt of the span. */
  attempt_id: string;
  /** Span. */
  span_id: string;
  /** Parent. */
  parent_id: string | null;
  /** Sequence number. */
  sequence_id: number | null;
  /** Start. */
  start_time: number;
  /** End. */
  end_time: number;
  /** Offset in spans of the record kept. */
  offset: number;
  /** Agent this span names. */
  agent: string | null;
  /** The call, when the span is one. */
  call: Call | null;
  /** Primary reward, when the span is one. */
  reward: number | null;
  /** Name its sender gave the first dimension; empty when it gave none. */
  reward_name: string;
  /** Named dimensions. */
  rewards: { [name: string]: number };
  /** True: a reward that is not a finite number. */
  invalid_reward: boolean;
  /** True: the span wraps the computation of a reward, calls below it are the judge's. */
  reward_scope: boolean;
  /** The tool call as JSON text (OpenAI tool_calls item), when the span records one the model asked for. */
  tool: string | null;
  /** Log time of the record kept. */
  received_at: number;
  /** Name of the span. */
  name: string;
  /** Trace of the span. */
  trace_id: string;
  /** Whose clock the times are of: host of the resource, empty when unknown. */
  clock: string;
  /** agentlightning.link.*: all must match. */
  links: (Link)[];
  /** Links of a span that is a reward. */
  span_links: (RewardedSpan)[];
};

/** A flat attribute map split by value type, so that no value costs a union and numbers keep their kind. */
export type Attributes = {
  /** Text values. */
  strings: { [name: string]: string };
  /** Integers within ±2^53. */
  longs: { [name: string]: number };
  /** Floating point values. */
  doubles: { [name: string]: number };
  /** Truth values. */
  booleans: { [name: string]: boolean };
  /** Lists of 32-bit integers (token ids), little endian int32. */
  int_lists: { [name: string]: Uint8Array };
  /** Lists of floating point numbers, little endian float64. */
  double_lists: { [name: string]: Uint8Array };
  /** Everything else as JSON text: lists of text, nested values, null, integers beyond 2^53. */
  json: { [name: string]: string };
};

/** Something that happened during the span. */
export type SpanEvent = {
  /** Event name. */
  name: string;
  /** When. */
  time: number;
  /** Nanoseconds beyond time. */
  nanos: number;
  /** Event attributes. */
  attributes: Attributes;
  /** Attributes the SDK dropped. */
  dropped_attributes: number;
};

/** Another span this one refers to. */
export type SpanLink = {
  /** Trace. */
  trace_id: string;
  /** Span. */
  span_id: string;
  /** W3C trace state. */
  trace_state: string;
  /** Link attributes. */
  attributes: Attributes;
  /** Attributes the SDK dropped. */
  dropped_attributes: number;
};

/** A finished span of an attempt. */
export type SpanRecorded = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** The attempt; (rollout, attempt, span id) is a span's identity. */
  attempt_id: string;
  /** Number given by the store or the tracer; null when there is none. */
  sequence_id: number | null;
  /** 32 hex digits where it comes from OpenTelemetry. */
  trace_id: string;
  /** 16 hex digits where it comes from OpenTelemetry. */
  span_id: string;
  /** Parent span. */
  parent_id: string | null;
  /** Span name. */
  name: string;
  /** INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER or UNSPECIFIED. */
  kind: string;
  /** Start by the agent's clock. */
  start_time: number;
  /** End by the agent's clock. */
  end_time: number;
  /** Nanoseconds beyond start_time, 0 to 999. */
  start_nanos: number;
  /** Nanoseconds beyond end_time, 0 to 999. */
  end_nanos: number;
  /** UNSET, OK or ERROR. */
  status_code: string;
  /** Description of the status. */
  status_message: string | null;
  /** Span attributes. */
  attributes: Attributes;
  /** Resource attributes. */
  resource: Attributes;
  /** Schema URL of the resource. */
  resource_schema_url: string;
  /** Instrumentation scope. */
  scope_name: string;
  /** Its version. */
  scope_version: string;
  /** W3C trace state. */
  trace_state: string;
  /** W3C trace flags. */
  flags: number;
  /** Span events. */
  events: (SpanEvent)[];
  /** Span links. */
  links: (SpanLink)[];
  /** Attributes the SDK dropped. */
  dropped_attributes: number;
  /** Events the SDK dropped. */
  dropped_events: number;
  /** Links the SDK dropped. */
  dropped_links: number;
  /** Fields a client sent beyond the model, as a JSON object. */
  extra: string | null;
};

/** One LLM call of a finished rollout: state, action and the reward matched to it. */
export type StepRecorded = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Group of the rollout; the Kafka key. */
  group_id: string;
  /** The attempt that counts. */
  attempt_id: string;
  /** Position in the rollout, from 0. */
  step_index: number;
  /** Span of the call. */
  span_id: string;
  /** Trace of the call. */
  trace_id: string;
  /** Id the engine gave its response. */
  response_id: string | null;
  /** Name of the agent that made the call; empty when unknown. */
  agent: string;
  /** Model name; empty when unknown. */
  model: string;
  /** Version of the policy that generated the action: as the engine said, else the rollout's resources version. */
  policy_version: number | null;
  /** What the model saw, as JSON text (OpenAI messages). */
  messages: string;
  /** What it generated, as JSON text (an OpenAI message). */
  completion: string;
  /** Tool definitions it was given, as JSON text. */
  tools: string | null;
  /** Token ids of the state, int32 little endian. */
  prompt_ids: Uint8Array;
  /** Token ids of the action, int32 little endian. */
  response_ids: Uint8Array;
  /** Log-probability of each action token when sampled, float32 little endian; empty when unknown. */
  logprobs: Uint8Array;
  /** Why generation stopped. */
  finish_reason: string | null;
  /** Tokens in, as the engine counted. */
  prompt_tokens: number;
  /** Tokens out, as the engine counted. */
  completion_tokens: number;
  /** Start of the call. */
  start_time: number;
  /** End of the call. */
  end_time: number;
  /** Reward matched to this call; null when none. */
  reward: number | null;
  /** Other named dimensions of that reward. */
  rewards: { [name: string]: number };
  /** Name of the resource this call trains, by the selection; empty when it names none. */
  policy: string;
  /** Which choice of the call, from 0. */
  choice: number;
  /** Id the agent gave the state it acted in (lightning.state.id); null when none. */
  state_id: string | null;
  /** Potential of that state the agent emitted (lightning.state.potential); null when none. */
  potential: number | null;
  /** Sampling temperature asked for; null when unknown. */
  temperature: number | null;
  /** Nucleus sampling bound asked for; null when unknown. */
  top_p: number | null;
  /** Spans of the rewards matched to it. */
  reward_spans: (string)[];
  /** 0; a revised step replaces the one with a smaller revision. */
  revision: number;
  /** Where the call and the mark stand in spans. */
  provenance: Provenance;
};

/** Written by track-rollouts when a limit passed: the log, not a clock, decides whether the attempt was faster. */
export type TimeoutRequested = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Chosen by whoever asks, kept over retries: a repeated id is recognised and applied once. */
  request_id: string;
  /** Clock of whoever asks; information only, the log's own timestamp decides. */
  requested_at: number;
  /** The attempt that ran over; null when the rollout itself is to be forgotten. */
  attempt_id: string | null;
  /** timeout, unresponsive, claim or retention. */
  limit: string;
  /** The deadline that passed. */
  deadline: number;
};

/** When a key of a processor wants to be woken. */
export type TimerSet = {
  /** ms since epoch. */
  wake_at: number;
};

/** One training row: state, action, return and advantage, with everything needed to trace it. */
export type TransitionRecorded = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The rollout this is about; with the project it is the Kafka key. */
  rollout_id: string;
  /** Group; the Kafka key. */
  group_id: string;
  /** The attempt that counts. */
  attempt_id: string;
  /** Position in the rollout. */
  step_index: number;
  /** Steps of the rollout. */
  step_count: number;
  /** Span of the call. */
  span_id: string;
  /** Trace of the call. */
  trace_id: string;
  /** Id the engine gave its response. */
  response_id: string | null;
  /** Name of the agent that made the call; empty when unknown. */
  agent: string;
  /** Model name; empty when unknown. */
  model: string;
  /** Version of the policy that generated the action: as the engine said, else the rollout's resources version. */
  policy_version: number | null;
  /** What the model saw, as JSON text (OpenAI messages). */
  messages: string;
  /** What it generated, as JSON text (an OpenAI message). */
  completion: string;
  /** Tool definitions it was given, as JSON text. */
  tools: string | null;
  /** Token ids of the state, int32 little endian. */
  prompt_ids: Uint8Array;
  /** Token ids of the action, int32 little endian. */
  response_ids: Uint8Array;
  /** Log-probability of each action token when sampled, float32 little endian; empty when unknown. */
  logprobs: Uint8Array;
  /** Why generation stopped. */
  finish_reason: string | null;
  /** Tokens in, as the engine counted. */
  prompt_tokens: number;
  /** Tokens out, as the engine counted. */
  completion_tokens: number;
  /** Start of the call. */
  start_time: number;
  /** End of the call. */
  end_time: number;
  /** uint8 per action token: 1 trains, 0 does not. */
  loss_mask: Uint8Array;
  /** Reward of this step; null when none. */
  reward: number | null;
  /** Named dimensions. */
  rewards: { [name: string]: number };
  /** Name of the resource this call trains, by the selection; empty when it names none. */
  policy: string;
  /** Which choice of the call, from 0. */
  choice: number;
  /** Id the agent gave the state it acted in (lightning.state.id); null when none. */
  state_id: string | null;
  /** Potential of that state the agent emitted (lightning.state.potential); null when none. */
  potential: number | null;
  /** Sampling temperature asked for; null when unknown. */
  temperature: number | null;
  /** Nucleus sampling bound asked for; null when unknown. */
  top_p: number | null;
  /** Spans of the rewards matched to it. */
  reward_spans: (string)[];
  /** Final reward of the rollout; null when none. */
  rollout_reward: number | null;
  /** Return from this step on, by the strategy. */
  return_value: number;
  /** Advantage by the strategy, the same for every trained token of the action. */
  advantage: number;
  /** Weight of the row: 1 over the rollout's rows, so that long rollouts do not count more. */
  weight: number;
  /** Strategy and parameters that made return and advantage. */
  credit: Credit;
  /** Members the group was to have. */
  group_size: number;
  /** Members that took part in the baseline. */
  group_members: number;
  /** train, val, test or null. */
  mode: string | null;
  /** Resource set the rollout runs with. */
  resources_id: string | null;
  /** Version of that set when the rollout was enqueued. */
  resources_version: number | null;
  /** Status the rollout ended with. */
  rollout_status: string;
  /** JSON object of the rollout. */
  metadata: string;
  /** Log time of the rollout's end. */
  ended_at: number;
  /** 0; a revised row replaces the one with a smaller revision. */
  revision: number;
  /** Where the call and the mark stand in spans. */
  provenance: Provenance;
};

/** What is known of a worker: groups of fields, each with the time it is of; two snapshots are merged by taking the later of each group. */
export type WorkerChanged = {
  /** Namespace of the experiment; part of every key. */
  project: string;
  /** The caller chose it; with the project it is the Kafka key. */
  worker_id: string;
  /** The earliest anything is known of it: the order of lists. */
  first_seen_at: number;
  /** Its last sign of life of its own. */
  last_heartbeat_at: number | null;
  /** When it last sent its own figures. */
  stats_at: number | null;
  /** JSON object as it was sent. */
  heartbeat_stats: string | null;
  /** When it last asked for work. */
  last_dequeue_at: number | null;
  /** When its status became what it is. */
  status_at: number | null;
  /** idle, busy or unknown. */
  status: string;
  /** Which of several changes of one time came last. */
  status_order: number;
  /** When what it works on became what it is. */
  current_at: number | null;
  /** Which of several changes of one time came last. */
  current_order: number;
  /** What it works on. */
  rollout_id: string | null;
  /** The attempt it works on. */
  attempt_id: string | null;
  /** When it last began to work. */
  last_busy_at: number | null;
  /** When it last stopped working. */
  last_idle_at: number | null;
};

/** Every record that stands on a topic of its own, by name. */
export type RecordTypes = {

  AssemblyClosed: AssemblyClosed;

  AttemptEnded: AttemptEnded;

  BatchLeased: BatchLeased;

  BatchReturned: BatchReturned;

  BatchTrained: BatchTrained;

  CallOmitted: CallOmitted;

  CancelRequested: CancelRequested;

  ClaimRequested: ClaimRequested;

  CreditAssigned: CreditAssigned;

  CreditRequested: CreditRequested;

  DeadLettered: DeadLettered;

  EndRequested: EndRequested;

  EnqueueRequested: EnqueueRequested;

  GroupClosed: GroupClosed;

  GroupNoted: GroupNoted;

  GroupTrained: GroupTrained;

  HeartbeatRequested: HeartbeatRequested;

  PatchRequested: PatchRequested;

  PositionReached: PositionReached;

  ProjectConfigured: ProjectConfigured;

  ResourcesUpdated: ResourcesUpdated;

  RolloutAssembled: RolloutAssembled;

  RolloutChanged: RolloutChanged;

  SequenceRequested: SequenceRequested;

  SpanKept: SpanKept;

  SpanRecorded: SpanRecorded;

  StepRecorded: StepRecorded;

  TimeoutRequested: TimeoutRequested;

  TimerSet: TimerSet;

  TransitionRecorded: TransitionRecorded;

  WorkerChanged: WorkerChanged;

};

/** Record name → file of its schema in this folder. */
export const schemaFiles = {

  AssemblyClosed: "assembly-closed.avsc",

  AttemptEnded: "attempt-ended.avsc",

  BatchLeased: "batch-leased.avsc",

  BatchReturned: "batch-returned.avsc",

  BatchTrained: "batch-trained.avsc",

  CallOmitted: "call-omitted.avsc",

  CancelRequested: "cancel-requested.avsc",

  ClaimRequested: "claim-requested.avsc",

  CreditAssigned: "credit-assigned.avsc",

  CreditRequested: "credit-requested.avsc",

  DeadLettered: "dead-lettered.avsc",

  EndRequested: "end-requested.avsc",

  EnqueueRequested: "enqueue-requested.avsc",

  GroupClosed: "group-closed.avsc",

  GroupNoted: "group-noted.avsc",

  GroupTrained: "group-trained.avsc",

  HeartbeatRequested: "heartbeat-requested.avsc",

  PatchRequested: "patch-requested.avsc",

  PositionReached: "position-reached.avsc",

  ProjectConfigured: "project-configured.avsc",

  ResourcesUpdated: "resources-updated.avsc",

  RolloutAssembled: "rollout-assembled.avsc",

  RolloutChanged: "rollout-changed.avsc",

  SequenceRequested: "sequence-requested.avsc",

  SpanKept: "span-kept.avsc",

  SpanRecorded: "span-recorded.avsc",

  StepRecorded: "step-recorded.avsc",

  TimeoutRequested: "timeout-requested.avsc",

  TimerSet: "timer-set.avsc",

  TransitionRecorded: "transition-recorded.avsc",

  WorkerChanged: "worker-changed.avsc",

} as const;
