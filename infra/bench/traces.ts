/** A trace of an instrumented agent, for those who read traces; the same in every run. */
export type TraceShape = {
  readonly spans: number;
  /** Tokens of the first prompt of a conversation, of each answer, and of what comes between. */
  readonly prompt: number;
  readonly answer: number;
  readonly observed: number;
};

/** A span as the store's API has it. */
export type TraceSpan = Readonly<Record<string, unknown>>;

/** Calls of one conversation: each prompt is all that was said before and something new. */
const callsPerAgent = 4;
/** Fourteen of them are the agent's; ten times the spans are ten times the agents: 33 of 500, 330 of 5,000. */
const spansToAnAgent = 15.15;

/** The spans of a rollout so far, and where its ids and token ids have come to. */
type Trace = {
  readonly rollout: string;
  readonly spans: TraceSpan[];
  ids: number;
  token: number;
};

/** The parent of a span, and when it begins and ends, ms after the rollout's start. */
type Stand = { readonly parent: string | null; readonly from: number; readonly to: number };

/**
 * The spans of one rollout, in the order they ended: agents below a session, each with four calls
 * that go on with one another, a tool call below each call, plain spans between, and a reward after
 * the last call. What AgentOps' OpenAI instrumentation writes (reference/v0.3-behaviour.md, 2.4).
 */
export function traceSpans(rollout: string, shape: TraceShape): TraceSpan[] {
  const trace: Trace = { rollout, spans: [], ids: 0, token: hashOf(rollout) };
  const { spans } = trace;
  const root = nextId(trace);
  const agents = Math.max(1, Math.floor(shape.spans / spansToAnAgent));
  for (let agent = 0; agent < agents; agent++) addAgent(trace, shape, agent, root);
  while (spans.length < shape.spans - 1) {
    const from = spans.length * 10;
    add(trace, nextId(trace), plainSpan("work", {}), { parent: root, from, to: from + 5 });
  }
  const session = plainSpan("rollout.session", { "agentops.span.kind": "session" });
  add(trace, root, session, { parent: null, from: 0, to: spans.length * 100 + 100 });
  return spans;
}

function add(trace: Trace, span_id: string, span: TraceSpan, { parent, from, to }: Stand): void {
  const start = 1_760_000_000;
  const times = { start_time: start + from / 1000, end_time: start + to / 1000 };
  const common = commonOf(trace.rollout, trace.spans.length + 1);
  trace.spans.push({ ...common, ...span, span_id, parent_id: parent, ...times });
}

function addAgent(trace: Trace, shape: TraceShape, agent: number, root: string): void {
  const from = agent * 1000;
  const own = nextId(trace);
  const context = tokens(trace, shape.prompt);
  for (let i = 0; i < callsPerAgent; i++) {
    const answer = tokens(trace, shape.answer);
    addCall(trace, own, from + 100 + i * 200, context, answer);
    context.push(...answer, ...tokens(trace, shape.observed));
  }
  const named = plainSpan("agent", { "agent.name": `planner-${agent % 3}` });
  add(trace, own, named, { parent: root, from, to: from + 950 });
  const reward = plainSpan("agentlightning.annotation", {
    "agentlightning.reward.0.name": "primary",
    "agentlightning.reward.0.value": (agent % 10) / 10,
  });
  add(trace, nextId(trace), reward, { parent: root, from: from + 960, to: from + 960 });
}

/** The tool call below it, the call, and what the tool did after it. */
function addCall(
  trace: Trace,
  agent: string,
  at: number,
  prompt: readonly number[],
  answer: readonly number[],
): void {
  const call = nextId(trace);
  const tool = plainSpan("tool_call.get_rooms", {
    "tool.name": "get_rooms",
    "tool.parameters": '{"day": "monday"}',
    "tool.call.id": `call_${call}`,
    "tool.call.type": "function",
  });
  const http = plainSpan("tools.http", {
    "http.request.method": "POST",
    "http.response.status_code": 200,
    "url.full": "http://10.0.0.7:8000/tools/rooms",
  });
  add(trace, nextId(trace), tool, { parent: call, from: at + 90, to: at + 95 });
  add(trace, call, callSpan(call, prompt, answer), { parent: agent, from: at, to: at + 100 });
  add(trace, nextId(trace), http, { parent: agent, from: at + 110, to: at + 150 });
}

function callSpan(id: string, prompt: readonly number[], answer: readonly number[]): TraceSpan {
  const attributes = {
    "gen_ai.request.type": "chat",
    "gen_ai.request.model": "policy",
    "gen_ai.request.temperature": 0.7,
    "gen_ai.system": "OpenAI",
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "You choose a meeting room. ".repeat(4),
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": "Room for eight with a whiteboard on Monday? ".repeat(4),
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "The room with the whiteboard is free. ".repeat(2),
    "gen_ai.completion.0.finish_reason": "stop",
    "gen_ai.response.id": `chatcmpl-${id}`,
    "gen_ai.response.model": "policy",
    "gen_ai.usage.prompt_tokens": prompt.length,
    "gen_ai.usage.completion_tokens": answer.length,
    prompt_token_ids: [...prompt],
    response_token_ids: [...answer],
  };
  return plainSpan("openai.chat.completion", attributes);
}

function plainSpan(name: string, attributes: Readonly<Record<string, unknown>>): TraceSpan {
  return { name, attributes };
}

function commonOf(rollout: string, sequence_id: number): TraceSpan {
  return {
    rollout_id: rollout,
    attempt_id: "at-1",
    sequence_id,
    trace_id: hashOf(rollout).toString(16).padStart(32, "1"),
    status: { status_code: "OK", description: null },
    events: [],
    links: [],
    context: null,
    parent: null,
    resource: { attributes: { "service.name": "bench" }, schema_url: "" },
  };
}

function tokens(trace: Trace, count: number): number[] {
  return Array.from({ length: count }, () => {
    trace.token = (Math.imul(trace.token, 1_664_525) + 1_013_904_223) >>> 0;
    return trace.token % 150_000;
  });
}

function nextId(trace: Trace): string {
  const id = hashOf(trace.rollout) * 65_536 + trace.ids++;
  return id.toString(16).padStart(16, "0").slice(-16);
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash;
}
