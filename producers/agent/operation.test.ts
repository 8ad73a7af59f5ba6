import assert from "node:assert/strict";
import { test } from "node:test";
import { LightningError } from "../../schemas/errors.ts";
import type { SpanRecorded } from "../../schemas/types.ts";
import { emitMessage, emitReward } from "./emit.ts";
import { rewardOperation } from "./names.ts";
import { type Operation, operation, withOperation } from "./operation.ts";
import { boundInputs, parametersOf } from "./parameters.ts";
import { ownAttributes, spansIn } from "./test-log.ts";

const refused = (error: unknown): boolean =>
  error instanceof LightningError && error.code === "request-invalid";

function byName(spans: readonly SpanRecorded[], name: string): SpanRecorded | undefined {
  return spans.find(
    (span) =>
      span.name === name || span.attributes.strings["agentlightning.operation.name"] === name,
  );
}

test("a wrapped function is an operation with its inputs by name and its output", async () => {
  const search = operation(async function search(query: string, limit = 5, ...rest: number[]) {
    return { hits: [{ id: query }], limit, rest };
  });
  const [span] = await spansIn(async () => {
    assert.deepEqual(await search("a", 2, 7, 8), { hits: [{ id: "a" }], limit: 2, rest: [7, 8] });
  });
  assert.deepEqual([span?.name, span?.status_code], ["agentlightning.operation", "UNSET"]);
  assert.deepEqual(ownAttributes(span), {
    "agentlightning.operation.name": "search",
    "agentlightning.operation.input.query": "a",
    "agentlightning.operation.input.limit": 2,
    "agentlightning.operation.input.rest.0": 7,
    "agentlightning.operation.input.rest.1": 8,
    "agentlightning.operation.output.hits.0.id": "a",
    "agentlightning.operation.output.limit": 2,
    "agentlightning.operation.output.rest": [7, 8],
  });
});

test("wrapping keeps name, length, this, and synchronous functions synchronous", async () => {
  const room = {
    seats: 4,
    fits: operation(
      { attributes: { category: "tool" } },
      function fits(this: { seats: number }, n: number): boolean {
        return n <= this.seats;
      },
    ),
  };
  assert.deepEqual([room.fits.name, room.fits.length], ["fits", 1]);
  const [span] = await spansIn(() => assert.equal(room.fits(3), true));
  assert.deepEqual(ownAttributes(span), {
    category: "tool",
    "agentlightning.operation.name": "fits",
    "agentlightning.operation.input.n": 3,
    "agentlightning.operation.output": true,
  });
});

test("an exception is recorded once with its class, and thrown on", async () => {
  const sync = operation(function sync() {
    throw new RangeError("boom");
  });
  const late = operation(async function late() {
    await null;
    throw "text";
  });
  const spans = await spansIn(async () => {
    assert.throws(() => sync(), /boom/);
    await assert.rejects(late(), (error) => error === "text");
  });
  const failed = byName(spans, "sync");
  assert.deepEqual([failed?.status_code, failed?.status_message], ["ERROR", "RangeError: boom"]);
  assert.deepEqual(
    failed?.events.map((event) => [event.name, event.attributes.strings["exception.type"]]),
    [["exception", "RangeError"]],
  );
  assert.equal(byName(spans, "late")?.status_message, "string: text");
});

test("a block sets input, output and attributes, and is nameless unless named", async () => {
  let kept: Operation | undefined;
  const [span] = await spansIn(async () => {
    const result = await withOperation({ attributes: { category: "tool" } }, async (op) => {
      kept = op;
      op.setInput([1], { q: { z: [1, 2] } });
      op.setOutput({ n: [{ a: 1 }] });
      assert.throws(() => op.span(), refused);
      return "done";
    });
    assert.equal(result, "done");
  });
  assert.deepEqual(ownAttributes(span), {
    category: "tool",
    "agentlightning.operation.input.args.0": 1,
    "agentlightning.operation.input.q.z": [1, 2],
    "agentlightning.operation.output.n.0.a": 1,
  });
  assert.equal(kept?.span().spanId, span?.span_id);
});

test("nested operations have the right parents across awaits, timers and promises", async () => {
  const inner = operation(async function inner(i: number) {
    await new Promise((resolve) => setTimeout(resolve, (i * 7) % 3));
    await emitMessage(`inner ${i}`);
    return i;
  });
  const outer = operation({ name: "outer" }, async (n: number) => {
    await Promise.all(Array.from({ length: n }, (_, i) => inner(i)));
    await new Promise<void>((resolve) => {
      setTimeout(() => withOperation({ name: "timer" }, () => resolve()), 1);
    });
  });
  const spans = await spansIn(async () => {
    await outer(4);
    await emitReward(1);
  });
  const top = byName(spans, "outer");
  assert.equal(top?.parent_id, null);
  const inners = spans.filter(
    (s) => s.attributes.strings["agentlightning.operation.name"] === "inner",
  );
  assert.deepEqual(
    inners.map(({ parent_id }) => parent_id),
    Array(4).fill(top?.span_id),
  );
  assert.equal(byName(spans, "timer")?.parent_id, top?.span_id);
  const messages = spans.filter(({ name }) => name === "agentlightning.message");
  for (const message of messages) {
    const parent = inners.find(({ span_id }) => span_id === message.parent_id);
    const i = parent?.attributes.longs["agentlightning.operation.input.i"];
    assert.equal(message.attributes.strings["agentlightning.message.body"], `inner ${i}`);
    assert.ok((parent?.sequence_id ?? 0) < (message.sequence_id ?? 0));
  }
  assert.equal(byName(spans, "agentlightning.annotation")?.parent_id, null);
});

test("a reward right after a call never seems to come before the call's end", async () => {
  const spans = await spansIn(async () => {
    for (let i = 0; i < 20; i++) {
      await withOperation({ name: "call" }, () => new Promise((resolve) => setTimeout(resolve, 1)));
      await emitReward(i);
    }
  });
  const inOrder = spans.sort((a, b) => (a.sequence_id ?? 0) - (b.sequence_id ?? 0));
  for (let i = 0; i < inOrder.length; i += 2) {
    const [call, reward] = [inOrder[i], inOrder[i + 1]];
    const end = [call?.end_time ?? 0, call?.end_nanos ?? 0] as const;
    const at = [reward?.start_time ?? 0, reward?.start_nanos ?? 0] as const;
    assert.ok(at[0] > end[0] || (at[0] === end[0] && at[1] >= end[1]), `${at} before ${end}`);
  }
});

test("an operation named twice, by a text or wrapping nothing is refused", () => {
  assert.throws(() => operation("search" as never, () => 1), refused);
  assert.throws(() => operation({ name: "x" } as never), refused);
  const attributes = { "agentlightning.operation.name": "y" };
  assert.throws(() => operation({ name: "x", attributes }, () => 1), refused);
  assert.throws(() => withOperation("x" as never, () => 1), refused);
  assert.throws(() => operation(() => 1)(), refused);
});

test("an operation that computes a reward marks what is below it as the judge's", async () => {
  const grade = operation({ name: rewardOperation }, (x: number) => x / 8);
  const [span] = await spansIn(() => grade(8));
  assert.equal(span?.attributes.strings["agentlightning.operation.name"], "agentlightning.reward");
});

test("inputs that cannot be read do not break the function", async () => {
  const hostile = {
    get secret(): string {
      throw new Error("no");
    },
  };
  const take = operation(function take(_thing: unknown) {
    return 1;
  });
  const [span] = await spansIn(() => assert.equal(take(hostile), 1));
  assert.equal(span?.attributes.strings["agentlightning.operation.input"], "[unreadable: no]");
});

test("parameter names are read where there are any, else the inputs are args", () => {
  const name = (fn: (...args: never[]) => unknown) => parametersOf(fn)?.map((p) => p.name);
  assert.deepEqual(
    name((a: number) => a),
    ["a"],
  );
  assert.deepEqual(
    name(async function f(_a: number, _b = ")", /* c */ _d = [1, 2]) {}),
    ["_a", "_b", "_d"],
  );
  assert.deepEqual(name({ method(_x: number) {} }.method), ["_x"]);
  assert.deepEqual(
    name(() => 1),
    [],
  );
  assert.equal(
    name(({ a }: { a: number }) => a),
    undefined,
  );
  assert.equal(name(Math.max), undefined);
  assert.deepEqual(boundInputs(undefined, [1, { a: 2 }]), { args: { "0": 1, "1": { a: 2 } } });
  assert.deepEqual(boundInputs([{ name: "a", rest: false }], [1, 2]), {
    args: { "0": 1, "1": 2 },
  });
});
