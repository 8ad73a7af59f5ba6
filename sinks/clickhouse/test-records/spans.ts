import { packFloat64, packInt32 } from "../../../schemas/bytes.ts";
import type { Tagged } from "../../../schemas/records.ts";
import type * as Records from "../../../schemas/types.ts";
import { at, credit } from "./settings.ts";

export const noAttributes: Records.Attributes = {
  strings: {},
  longs: {},
  doubles: {},
  booleans: {},
  int_lists: {},
  double_lists: {},
  json: {},
};

/** One attribute of each kind, and the numbers that are hard. */
const everyKind: Records.Attributes = {
  strings: { "gen_ai.request.model": "room-1", "gen_ai.operation.name": "chat" },
  longs: { "gen_ai.usage.input_tokens": 12, big: Number.MAX_SAFE_INTEGER },
  doubles: { "gen_ai.request.temperature": 1 },
  booleans: { stream: true },
  int_lists: { prompt_token_ids: packInt32([1, 2, -3]) },
  double_lists: { logprobs: packFloat64([-0.5, Number.NaN, Number.NEGATIVE_INFINITY]) },
  json: { stop: '["a","b"]', huge: "12345678901234567890" },
};

export function span(values: Partial<Records.SpanRecorded> = {}): Tagged<"SpanRecorded"> {
  const value: Records.SpanRecorded = {
    project: "default",
    rollout_id: "ro-1",
    attempt_id: "at-1",
    sequence_id: 1,
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    span_id: "b7ad6b7169203331",
    parent_id: null,
    name: "openai.chat.completion",
    kind: "CLIENT",
    start_time: at,
    end_time: at + 1500,
    start_nanos: 1,
    end_nanos: 999,
    status_code: "OK",
    status_message: null,
    attributes: everyKind,
    resource: { ...noAttributes, strings: { "service.name": "room" }, longs: { pid: 7 } },
    resource_schema_url: "",
    scope_name: "lightning",
    scope_version: "1",
    trace_state: "",
    flags: 1,
    events: [],
    links: [],
    dropped_attributes: 0,
    dropped_events: 0,
    dropped_links: 0,
    extra: null,
  };
  return { type: "SpanRecorded", value: { ...value, ...values } };
}

export function attemptEnded(values: Partial<Records.AttemptEnded> = {}): Tagged<"AttemptEnded"> {
  const value: Records.AttemptEnded = {
    project: "default",
    rollout_id: "ro-1",
    attempt_id: "at-1",
    attempt_sequence_id: 1,
    attempt_status: "succeeded",
    final: true,
    rollout_status: "succeeded",
    mode: "train",
    resources_id: "main",
    resources_version: 3,
    group_id: "g-1",
    group_size: 2,
    group_deadline_seconds: 60,
    credit,
    selection: '{"repair":false}',
    grace_seconds: 0,
    metadata: "{}",
    enqueued_at: at,
    started_at: at,
    ended_at: at,
    request_offset: 9,
  };
  return { type: "AttemptEnded", value: { ...value, ...values } };
}
