import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, enqueueOf } from "../fixtures.ts";
import { fold } from "./fold.ts";

const retried = { config: { max_attempts: 2, retry_condition: ["failed", "unresponsive"] } };
const patch = (id: string, set: object | string, fields = {}) =>
  ask("PatchRequested", "ro", id, {
    patch: typeof set === "string" ? set : JSON.stringify(set),
    ...fields,
  });

test("a patch keeps JSON as it was written and merges the config", () => {
  const text =
    '{ "input": {"n": 1.0, "big": 12345678901234567890, "s": "}\\",{"} , "config": {"max_attempts": 3} }';
  const { rollout } = fold(enqueueOf("ro", retried), patch("p", text));
  assert.equal(rollout?.input, '{"n": 1.0, "big": 12345678901234567890, "s": "}\\",{"}');
  assert.deepEqual(rollout?.config.retry_condition, retried.config.retry_condition);
  assert.equal(rollout?.config.max_attempts, 3);
});

test("a patch is a compare-and-set on the expected status", () => {
  const expected = { expected_status: "queuing" };
  const { decisions, rollout } = fold(
    enqueueOf("ro"),
    patch("p", { status: "failed" }, expected),
    patch("q", { status: "succeeded" }, expected),
  );
  assert.equal(decisions[2]?.verdict.reason, "conflict");
  assert.equal(rollout?.status, "failed");
});

for (const [name, text, message] of [
  ["unknown field", '{"colour": 1}', /patch.colour: no such field, allowed are status/],
  ["inherited name", '{"__proto__": 1}', /patch.__proto__: no such field/],
  ["bad status", '{"status": "done"}', /patch.status: read "done", allowed: queuing/],
  ["bad config", '{"config": {"retry_condition": null}}', /retry_condition: must be a list/],
  ["unknown limit", '{"config": {"x": 1}}', /patch.config: read \{"x": 1\}, allowed: an object of/],
  ["no object", "[1]", /patch: read \[1\], must be a JSON object/],
  ["no JSON", "{", /patch: not JSON/],
] as const) {
  test(`a patch with ${name} is void and says why`, () => {
    const { decisions } = fold(enqueueOf("ro"), patch("p", text));
    assert.equal(decisions[1]?.verdict.outcome, "void");
    assert.match(decisions[1]?.verdict.message ?? "", message);
  });
}
