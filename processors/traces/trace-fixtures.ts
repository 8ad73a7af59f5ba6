import { noBytes } from "../../schemas/bytes.ts";
import type { Call, SpanKept } from "../../schemas/types.ts";
import { defaultSelection, type Selection } from "./selection.ts";
import { readTrace, type Trace } from "./trace.ts";

const plain: SpanKept = {
  attempt_id: "at",
  span_id: "",
  parent_id: null,
  sequence_id: null,
  start_time: 0,
  end_time: 0,
  offset: 0,
  agent: null,
  call: null,
  reward: null,
  reward_name: "",
  rewards: {},
  invalid_reward: false,
  reward_scope: false,
  tool: null,
  received_at: 0,
  name: "span",
  trace_id: "t",
  clock: "",
  links: [],
  span_links: [],
};

/** A span already read; times in µs. */
export function kept(
  span_id: string,
  start_time: number,
  end_time: number,
  fields: Partial<SpanKept> = {},
): SpanKept {
  return { ...plain, span_id, start_time, end_time, ...fields };
}

/** A finished call that said something. */
export function keptCall(
  span_id: string,
  start_time: number,
  end_time: number,
  fields: Partial<SpanKept> = {},
  call: Partial<Call> = {},
): SpanKept {
  const span = kept(span_id, start_time, end_time, { name: "openai.chat.completion", ...fields });
  return { ...span, call: { ...callIn(span), ...call } };
}

/** A reward of no length. */
export function keptReward(
  span_id: string,
  at: number,
  reward: number,
  fields: Partial<SpanKept> = {},
): SpanKept {
  return kept(span_id, at, at, { name: "agentlightning.annotation", reward, ...fields });
}

function callIn({ span_id, trace_id, start_time, end_time }: SpanKept): Call {
  return {
    span_id,
    trace_id,
    response_id: `response ${span_id}`,
    model: "policy",
    policy_version: null,
    messages: "[]",
    completion: '{"role":"assistant","content":"yes"}',
    tools: null,
    prompt_ids: noBytes,
    response_ids: noBytes,
    logprobs: noBytes,
    finish_reason: null,
    prompt_tokens: 0,
    completion_tokens: 0,
    start_time,
    end_time,
    state_id: null,
    potential: null,
    temperature: null,
    top_p: null,
    error: null,
    choices: [],
    previous_response_id: null,
    instructions: 0,
  };
}

/** The trace of these spans, with the default selection but for what is said. */
export function traceOf(spans: readonly SpanKept[], selection: Partial<Selection> = {}): Trace {
  return readTrace(spans, { ...defaultSelection, ...selection });
}

/** All that a trace says about what came of its spans. */
export function outcomeOf(trace: Trace): unknown {
  return {
    calls: trace.calls.map(({ span, choice, agent, policy, reward, rewards, rewardSpans }) => [
      span.span_id,
      choice,
      agent,
      policy,
      reward,
      rewards,
      rewardSpans,
    ]),
    omitted: trace.omitted.map(({ span, ...rest }) => [span?.span_id, rest]),
    unmatched: trace.unmatched.map((span) => span.span_id),
    final: trace.finalReward?.span.span_id,
  };
}
