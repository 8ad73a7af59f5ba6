import assert from "node:assert/strict";
import { noAttributes } from "../../producers/attributes.ts";
import type { Produced } from "../../producers/producer.ts";
import type { SpanRecorded } from "../../schemas/types.ts";

export type Json = { [name: string]: unknown };

export type Started = { rollout_id: string; attempt: { attempt_id: string; status: string } };

export function spanOf(started: Started, spanId: string, attributes: Json = { n: 1 }): Json {
  return {
    rollout_id: started.rollout_id,
    attempt_id: started.attempt.attempt_id,
    sequence_id: 1,
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    span_id: spanId,
    parent_id: null,
    name: "step",
    status: { status_code: "OK", description: null },
    attributes,
    events: [],
    links: [],
    start_time: 1_790_000_000.5,
    end_time: 1_790_000_001.5,
    context: null,
    parent: null,
    resource: { attributes: {}, schema_url: "" },
  };
}

/** A span as the library of an agent writes it straight onto the log. */
export function recorded(started: Started, spanId: string): Produced<"SpanRecorded"> {
  const value: SpanRecorded = {
    project: "default",
    rollout_id: started.rollout_id,
    attempt_id: started.attempt.attempt_id,
    sequence_id: null,
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    span_id: spanId,
    parent_id: null,
    name: "step",
    kind: "INTERNAL",
    start_time: 1,
    end_time: 2,
    start_nanos: 0,
    end_nanos: 0,
    status_code: "OK",
    status_message: null,
    attributes: noAttributes(),
    resource: noAttributes(),
    resource_schema_url: "",
    scope_name: "",
    scope_version: "",
    trace_state: "",
    flags: 0,
    events: [],
    links: [],
    dropped_attributes: 0,
    dropped_events: 0,
    dropped_links: 0,
    extra: null,
  };
  const key = `default/${started.rollout_id}`;
  return { topic: "spans", key, type: "SpanRecorded", value };
}

/** Asks the store API of gateways, by their place in `urls` (each ends in /v1/agl). */
export function storeClient(urls: readonly string[]) {
  async function ask(
    gateway: number,
    method: "GET" | "POST",
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: never }> {
    const response = await fetch(`${urls[gateway]}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: JSON.parse(text === "" ? "null" : text) as never };
  }

  /** The answer to a request that must succeed. */
  async function get<T>(gateway: number, path: string): Promise<T> {
    const { status, body } = await ask(gateway, "GET", path);
    assert.equal(status, 200, `${path}: ${JSON.stringify(body).slice(0, 400)}`);
    return body;
  }

  async function post<T>(gateway: number, path: string, sent: unknown): Promise<T> {
    const { status, body } = await ask(gateway, "POST", path, sent);
    assert.ok(status === 200 || status === 201, `${path}: ${JSON.stringify(body).slice(0, 400)}`);
    return body;
  }

  const start = (gateway: number): Promise<Started> =>
    post(gateway, "/rollouts", { input: { task: 1 } });

  async function spanIds(gateway: number, started: Started): Promise<string[]> {
    const page = await get<{ items: { span_id: string }[]; total: number }>(
      gateway,
      `/spans?rollout_id=${started.rollout_id}&sort_by=span_id`,
    );
    assert.equal(page.total, page.items.length);
    return page.items.map(({ span_id }) => span_id);
  }

  return { ask, get, post, start, spanIds };
}
