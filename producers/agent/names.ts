/** Span names and attribute keys of Agent Lightning 0.3 (`agentlightning/semconv.py`). */

export const spanNames = {
  annotation: "agentlightning.annotation",
  message: "agentlightning.message",
  object: "agentlightning.object",
  exception: "agentlightning.exception",
  operation: "agentlightning.operation",
} as const;

/** Name of an operation that computes a reward: LLM calls below it are the judge's. */
export const rewardOperation = "agentlightning.reward";

export const keys = {
  project: "agentlightning.project",
  rolloutId: "agentlightning.rollout_id",
  attemptId: "agentlightning.attempt_id",
  sequenceId: "agentlightning.span_sequence_id",
  reward: "agentlightning.reward",
  link: "agentlightning.link",
  tag: "agentlightning.tag",
  messageBody: "agentlightning.message.body",
  objectType: "agentlightning.object.type",
  objectLiteral: "agentlightning.object.literal",
  objectJson: "agentlightning.object.json",
  operationName: "agentlightning.operation.name",
  operationInput: "agentlightning.operation.input",
  operationOutput: "agentlightning.operation.output",
  exceptionType: "exception.type",
  exceptionMessage: "exception.message",
  exceptionEscaped: "exception.escaped",
  exceptionStacktrace: "exception.stacktrace",
} as const;

/** Name of the tracer our own spans come from. */
export const tracerName = "agentlightning";
