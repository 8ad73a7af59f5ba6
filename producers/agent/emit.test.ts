import assert from "node:assert/strict";
import { test } from "node:test";
import { LightningError } from "../../schemas/errors.ts";
import { currentAttempt, withAttempt } from "./attempt.ts";
import { emitAnnotation, emitException, emitMessage, emitReward, links, tags } from "./emit.ts";
import { emitObject, objectAttributes } from "./object.ts";
import { memoryLightning, ownAttributes, spansIn, spansOf } from "./test-log.ts";

function refuses(argument: string | RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof LightningError &&
    error.code === "request-invalid" &&
    (typeof argument === "string"
      ? error.message.includes(argument)
      : argument.test(error.message));
}

test("a scalar reward is an annotation whose dimension 0 is called primary", async () => {
  const [span] = await spansIn(() =>
    emitReward(0.25, { attributes: links({ "gen_ai.response.id": "chatcmpl-1" }) }),
  );
  assert.equal(span?.name, "agentlightning.annotation");
  assert.equal(span?.status_code, "OK");
  assert.deepEqual(ownAttributes(span), {
    "agentlightning.reward.0.name": "primary",
    "agentlightning.reward.0.value": 0.25,
    "agentlightning.link.0.key_match": "gen_ai.response.id",
    "agentlightning.link.0.value_match": "chatcmpl-1",
  });
  assert.deepEqual([span?.start_time, span?.start_nanos], [span?.end_time, span?.end_nanos]);
});

test("named dimensions put the primary first and keep the order of the others", async () => {
  const [span] = await spansIn(() =>
    emitReward(
      { fmt: 0.5, acc: true, len: -2 },
      { primaryKey: "acc", attributes: tags(["final"]) },
    ),
  );
  assert.deepEqual(ownAttributes(span), {
    "agentlightning.reward.0.name": "acc",
    "agentlightning.reward.0.value": 1,
    "agentlightning.reward.1.name": "fmt",
    "agentlightning.reward.1.value": 0.5,
    "agentlightning.reward.2.name": "len",
    "agentlightning.reward.2.value": -2,
    "agentlightning.tag.0": "final",
  });
});

test("a reward that is no finite number, or without its primary, is refused by name", async () => {
  await spansIn(() => {
    assert.throws(() => emitReward(Number.NaN), refuses("reward is the number NaN"));
    assert.throws(() => emitReward("1" as never), refuses("reward is a string"));
    assert.throws(() => emitReward(null as never), refuses("reward is null"));
    assert.throws(() => emitReward({ a: 1 }), refuses("primaryKey is undefined"));
    assert.throws(() => emitReward({ a: 1 }, { primaryKey: "b" }), refuses('one of ["a"]'));
    const odd = { a: 1, b: Number.POSITIVE_INFINITY };
    assert.throws(() => emitReward(odd, { primaryKey: "a" }), refuses("b is the number Infinity"));
  });
});

test("messages, exceptions and annotations have the reference's names and attributes", async () => {
  const [message, exception, annotation] = await spansIn(async () => {
    await emitMessage("hello", { attributes: { meta: { a: 1 }, l: ["x", "y"] } });
    class RoomTaken extends Error {}
    await emitException(new RoomTaken("boom", { cause: new TypeError("why") }), {
      attributes: { where: { line: 3 } },
    });
    await emitAnnotation({ ...tags(["t1"]), nested: { x: { y: 2 } }, mixed: [1, "a"] });
  });
  assert.deepEqual([message?.name, message?.status_code], ["agentlightning.message", "UNSET"]);
  assert.deepEqual(ownAttributes(message), {
    "agentlightning.message.body": "hello",
    "meta.a": 1,
    l: ["x", "y"],
  });
  assert.deepEqual([exception?.name, exception?.status_code], ["agentlightning.exception", "OK"]);
  const { "exception.stacktrace": stack, ...rest } = ownAttributes(exception);
  assert.match(String(stack), /boom[\s\S]*Caused by: TypeError: why/);
  assert.deepEqual(rest, {
    "exception.type": "RoomTaken",
    "exception.message": "boom",
    "exception.escaped": true,
    "where.line": 3,
  });
  assert.equal(annotation?.name, "agentlightning.annotation");
  assert.deepEqual(ownAttributes(annotation), {
    "agentlightning.tag.0": "t1",
    "nested.x.y": 2,
    "mixed.0": 1,
    "mixed.1": "a",
  });
});

test("wrong arguments are refused by name and the caller's attributes win a clash", async () => {
  const spans = await spansIn(async () => {
    assert.throws(() => emitMessage(1 as never), refuses("message is the number 1"));
    assert.throws(() => emitException("x" as never), refuses("exception is a string"));
    assert.throws(() => emitAnnotation({ a: { b: null } }), refuses("a.b is null"));
    assert.throws(() => emitObject({ a: new Set() }), refuses("a is an instance of Set"));
    await emitMessage("a", { attributes: { "agentlightning.message.body": "b" } });
  });
  assert.deepEqual(spans.map(ownAttributes), [{ "agentlightning.message.body": "b" }]);
});

test("objects are typed and written as Python writes them", () => {
  const rows: [unknown, string, string][] = [
    ["s", "str", "s"],
    [true, "bool", "True"],
    [3, "int", "3"],
    [1e21, "int", "1000000000000000000000"],
    [12n, "int", "12"],
    [1.5, "float", "1.5"],
    [0.0001, "float", "0.0001"],
    [0.00001, "float", "1e-05"],
    [-1.5e-7, "float", "-1.5e-07"],
    [1e-300, "float", "1e-300"],
    [Number.NaN, "float", "nan"],
    [Number.NEGATIVE_INFINITY, "float", "-inf"],
    [Uint8Array.of(0, 1), "bytes", "AAE="],
    [Buffer.from([0, 1]).buffer.slice(0, 0), "bytes", ""],
  ];
  for (const [value, type, literal] of rows) {
    assert.deepEqual(objectAttributes(value), {
      "agentlightning.object.type": type,
      "agentlightning.object.literal": literal,
    });
  }
  const json: [unknown, string, string][] = [
    [{ k: [1, 2] }, "dict", '{"k":[1,2]}'],
    [new Map([["k", 1]]), "dict", '{"k":1}'],
    [[1, "a"], "list", '[1,"a"]'],
    [null, "NoneType", "null"],
    [undefined, "NoneType", "null"],
    [new Date(0), "Date", '"1970-01-01T00:00:00.000Z"'],
  ];
  for (const [value, type, text] of json) {
    assert.deepEqual(objectAttributes(value), {
      "agentlightning.object.type": type,
      "agentlightning.object.json": text,
    });
  }
});

test("what JSON cannot write is refused, not left out", () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const values = [circle, { f() {} }, { s: Symbol("s") }, { n: Number.NaN }, { b: 1n }, new Set()];
  for (const value of [...values, () => 1, new Map([[1, 2]])]) {
    assert.throws(() => objectAttributes(value), refuses("emitObject"));
  }
});

test("spans carry the ids of the attempt and numbers in the order they started", async () => {
  const { log, lightning } = memoryLightning({ project: "rooms" });
  const run = (rolloutId: string): Promise<void> =>
    lightning.withAttempt({ rolloutId, attemptId: `at-${rolloutId}` }, async () => {
      for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => setTimeout(resolve, i % 2));
        await emitMessage(`${rolloutId} ${i}`);
        await Promise.all([emitReward(i), Promise.resolve().then(() => emitReward(-i))]);
      }
      assert.equal(currentAttempt()?.rolloutId, rolloutId);
    });
  await Promise.all([run("ro-seq-a"), run("ro-seq-b")]);
  assert.equal(currentAttempt(), undefined);
  await lightning.shutdown();
  for (const id of ["ro-seq-a", "ro-seq-b"]) {
    const spans = spansOf(log).filter((span) => span.rollout_id === id);
    assert.equal(spans.length, 15);
    assert.deepEqual(
      spans.map(({ sequence_id }) => sequence_id),
      Array.from({ length: 15 }, (_, i) => i + 1),
    );
    assert.ok(spans.every((s) => s.project === "rooms" && s.attempt_id === `at-${id}`));
    assert.ok(log.records.every(({ key, topic }) => key.startsWith("rooms/") && topic === "spans"));
  }
});

test("an emitter outside of an attempt says so, unless it is not to propagate", async () => {
  assert.throws(() => emitReward(1), refuses("outside of an attempt"));
  const local = await emitReward(1, { propagate: false });
  assert.equal(local.attributes["agentlightning.reward.0.value"], 1);
  withAttempt({ rolloutId: "r", attemptId: "a" }, () => {
    assert.throws(() => emitReward(1), refuses("no active tracer"));
  });
});

test("ids that could be no key are refused by name", () => {
  const fn = (): void => undefined;
  assert.throws(() => withAttempt({ rolloutId: "", attemptId: "a" }, fn), refuses("rolloutId"));
  assert.throws(() => withAttempt({ rolloutId: "r", attemptId: "a\n" }, fn), refuses("attemptId"));
  const odd = { project: "a/b", rolloutId: "r", attemptId: "a" };
  assert.throws(() => withAttempt(odd, fn), refuses("project"));
});
