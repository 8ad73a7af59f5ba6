import assert from "node:assert/strict";
import fc from "fast-check";
import type { SpanRecorded } from "../../../schemas/types.ts";
import { type TestGateway, testGateway } from "../testing.ts";
import { createCapture } from "./capture.ts";
import type { StreamWriter } from "./dialect.ts";
import type { Json } from "./reading.ts";

type Seen = { readonly url: string; readonly body: Record<string, unknown>; readonly key: string };
type Engine = (seen: Seen, attempt: number, signal: AbortSignal) => Response | Promise<Response>;

export const apiKey = "sk-engine-secret";
export const chat = "/rollout/r/attempt/at-1/v1/chat/completions";
export const messages = [{ role: "user", content: "hello" }];

/** A gateway whose engine is a function, with one LLM published and rollout `r` claimed. */
export async function proxied(engine: Engine, resource: Record<string, unknown> = {}) {
  const seen: Seen[] = [];
  const gateway = await testGateway({
    proxy: {
      firstWaitMs: 1,
      deadlineMs: 1000,
      foldLagMs: 10,
      fetch: async (url, init) => {
        const headers = new Headers(init?.headers);
        const call = {
          url: String(url),
          body: JSON.parse(String(init?.body)),
          key: headers.get("authorization") ?? "",
        };
        seen.push(call);
        return engine(call, seen.length, init?.signal ?? new AbortController().signal);
      },
    },
  });
  const main = {
    kind: "llm",
    endpoint: "http://u:p@engine/v1/?k=1",
    model: "policy",
    api_key: apiKey,
  };
  const endpoint = "http://engine/v1/";
  const payload = { resources: { main_llm: { ...main, endpoint, ...resource } } };
  await gateway.app.inject({ method: "PUT", url: "/api/v1/resources/main", payload });
  await gateway.claimed("r");
  const call = (body: object, headers: Record<string, string> = {}, url = chat) =>
    gateway.app.inject({ method: "POST", url, payload: body, headers });
  return { gateway, seen, call };
}

export function spans(gateway: TestGateway): SpanRecorded[] {
  return gateway.log.records.flatMap((record) =>
    record.type === "SpanRecorded" ? [record.value] : [],
  );
}

export function onlySpan(gateway: TestGateway): SpanRecorded {
  const [span, ...others] = spans(gateway);
  assert.ok(span !== undefined && others.length === 0, "one span per call");
  return span;
}

/** An engine's answer with two choices. */
export const answer = {
  id: "chatcmpl-1",
  model: "policy",
  system_fingerprint: "policy-v7",
  prompt_token_ids: [1, 2, 3],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  choices: [
    {
      index: 0,
      finish_reason: "stop",
      message: { role: "assistant", content: "room A" },
      token_ids: [4, 5],
      logprobs: {
        content: [
          { token: "a", logprob: -0.5 },
          { token: "b", logprob: 0 },
        ],
      },
    },
    {
      index: 1,
      finish_reason: "length",
      message: { role: "assistant", content: "B" },
      token_ids: [6],
    },
  ],
};

/** What an engine streams. */
export function events(...items: readonly (object | string)[]): Buffer {
  const lines = items.map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
  return Buffer.from(lines.map((line) => `data: ${line}\n\n`).join(""));
}

/** An answer whose bytes come in pieces that respect no boundary. */
export function streamed(bytes: Buffer, piece: number, end?: Error): Response {
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at < bytes.length) controller.enqueue(bytes.subarray(at, at + piece));
      else if (end === undefined) controller.close();
      else controller.error(end);
      at += piece;
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
}

/** The chunks of a stream that thinks, says something and calls a tool. */
export const chunks = [
  { id: "c1", model: "policy", choices: [{ index: 0, delta: { role: "assistant", content: "" } }] },
  { id: "c1", choices: [{ index: 0, delta: { reasoning_content: "hm" }, token_ids: [4] }] },
  { id: "c1", choices: [{ index: 0, delta: { content: "Let me" }, token_ids: [5] }] },
  { id: "c1", choices: [{ index: 0, delta: { content: " see." }, token_ids: [6] }] },
  {
    id: "c1",
    choices: [
      {
        index: 0,
        delta: { tool_calls: [{ index: 0, id: "t1", function: { name: "rooms", arguments: "" } }] },
      },
    ],
  },
  {
    id: "c1",
    choices: [
      {
        index: 0,
        delta: { tool_calls: [{ index: 0, function: { arguments: '{"day":1}' } }] },
        finish_reason: "tool_calls",
      },
    ],
  },
  { id: "c1", choices: [], usage: { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 } },
];

/** Streams of whatever a model may do, in pieces, with why it stopped. */
export const anyChunks: fc.Arbitrary<Json[]> = fc
  .record({
    thinking: fc.array(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 3 }),
    texts: fc.array(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 3 }),
    days: fc.array(fc.nat(9), { maxLength: 3 }),
    finish_reason: fc.constantFrom("stop", "length", "tool_calls", "content_filter"),
    stop_reason: fc.constantFrom(null, "END", 7),
  })
  .map(({ thinking, texts, days, finish_reason, stop_reason }) => {
    const deltas = [
      ...thinking.map((text) => ({ reasoning_content: text })),
      ...texts.map((text) => ({ content: text })),
      ...days.flatMap((day, index) => [
        { tool_calls: [{ index, id: `t${index}`, function: { name: `on ${day}` } }] },
        { tool_calls: [{ index, function: { arguments: '{"day":' } }] },
        { tool_calls: [{ index, function: { arguments: `${day}}` } }] },
      ]),
    ];
    const common = { id: "c1", model: "policy" };
    return [
      ...deltas.map((delta) => ({ ...common, choices: [{ index: 0, delta }] })),
      { ...common, choices: [{ index: 0, delta: {}, finish_reason, stop_reason }] },
      { ...common, choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } },
    ];
  });

/** What an agent gets of a stream, and the answer the chunks stand for. */
export function relayed(all: readonly Json[], writer: StreamWriter): [string, Json] {
  const capture = createCapture();
  const written = all.map((chunk) => {
    capture.add(chunk);
    return writer.event(Buffer.alloc(0), chunk) ?? Buffer.alloc(0);
  });
  written.push(writer.end(null) ?? Buffer.alloc(0));
  return [Buffer.concat(written).toString(), capture.response()];
}

/** The data of server-sent events. */
export function dataOf(written: string): Record<string, unknown>[] {
  return written.split("\n\n").flatMap((block) => {
    const data = block.split("\n").find((line) => line.startsWith("data: "));
    return data === undefined ? [] : [JSON.parse(data.slice(6))];
  });
}
