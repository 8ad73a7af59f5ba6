import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "../../../schemas/errors.ts";
import { anthropic } from "./anthropic/dialect.ts";
import { createCapture } from "./capture.ts";
import type { Dialect } from "./dialect.ts";
import type { Json } from "./reading.ts";
import { openAiResponses } from "./responses/dialect.ts";

const dialects: readonly [string, Dialect][] = [
  ["Anthropic's messages", anthropic],
  ["OpenAI's responses", openAiResponses],
];

/** Objects that have the right names now and then, and the right kinds of values even less often. */
function objects(
  names: readonly string[],
  kinds: readonly string[],
  depth = 3,
): fc.Arbitrary<Json> {
  const deeper =
    depth === 0 ? fc.constant({}) : fc.nat(1).chain(() => objects(names, kinds, depth - 1));
  const value: fc.Arbitrary<unknown> = fc.oneof(
    fc.constantFrom(...kinds),
    fc.jsonValue({ maxDepth: 1 }),
    deeper,
    fc.array(deeper, { maxLength: 3 }),
  );
  return fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 5 });
}

const asked = objects(
  [
    "messages",
    "input",
    "system",
    "instructions",
    "role",
    "content",
    "type",
    "text",
    "tools",
  ].concat([
    "toString",
    "tool_choice",
    "source",
    "output",
    "summary",
    "format",
    "reasoning",
    "image_url",
    "name",
  ]),
  ["user", "assistant", "text", "image", "tool_use", "tool_result", "thinking", "message"].concat([
    "function_call",
    "function_call_output",
    "reasoning",
    "input_text",
    "base64",
    "function",
  ]),
);

const answered = objects(
  [
    "id",
    "choices",
    "message",
    "delta",
    "content",
    "tool_calls",
    "function",
    "arguments",
    "index",
  ].concat([
    "finish_reason",
    "usage",
    "prompt_tokens",
    "error",
    "reasoning_content",
    "stop_reason",
  ]),
  ["stop", "length", "text", "{}", '{"a":1}'],
);

for (const [name, dialect] of dialects) {
  test(`${name}: whatever an agent asks is asked on or refused, and what an engine says is told on`, () => {
    fc.assert(
      fc.property(asked, fc.array(answered, { maxLength: 4 }), (body, chunks) => {
        try {
          assert.ok(Array.isArray(dialect.request(body).messages));
        } catch (error) {
          assert.equal(codeOf(error), "request-invalid", String(error));
        }
        const [capture, writer] = [createCapture(), dialect.stream(body)];
        for (const chunk of chunks) {
          capture.add(chunk);
          writer.event(Buffer.alloc(0), chunk);
        }
        writer.end(null);
        for (const whole of [...chunks, capture.response()]) {
          assert.equal(typeof JSON.parse(dialect.answer("", whole, body)), "object");
          assert.equal(typeof dialect.refusal(JSON.stringify(whole), 400), "string");
        }
      }),
      { numRuns: 3000 },
    );
  });
}
