import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { enqueueOf, memberOf } from "../../processors/fixtures.ts";
import { callOf, rewardOf } from "../../processors/traces/fixtures.ts";
import { deadLettersOf, maxRecordBytes, maxValueBytes, topics } from "../../schemas/topics.ts";
import type { DeadLettered } from "../../schemas/types.ts";
import { rowsOf } from "../../sinks/clickhouse/client.ts";
import { lettersOf } from "../commands/letters.ts";
import { childEnvironment } from "../config.ts";
import { openReplayer, type Replayer } from "../kafka/replay.ts";
import { appendLoad, essence, type Load, makeLoad, oracle, seeded } from "./load.ts";
import {
  clickHouseOfStack,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";
import { recordsOf } from "./verify.ts";

const random = seeded(7);
const attacked = { requests: "track-rollouts", spans: "assemble-rollouts", steps: "assign-credit" };
type Attacked = keyof typeof attacked;
const doors = Object.keys(attacked) as Attacked[];

let stack: Stack;
let folds: RoleProcess;
let raw: Replayer;

before(async () => {
  stack = await startStack({ LIGHTNING_LOG_LEVEL: "silent" });
  // Also what is read below, while the registry is there.
  for (const topic of [...doors, "transitions" as const]) {
    await stack.context.codec.prepare(topic, topics[topic].records);
  }
  for (const reader of Object.values(attacked)) {
    await stack.context.codec.prepare(deadLettersOf(reader), ["DeadLettered"]);
  }
  folds = startRoleProcess(stack, [
    "track-rollouts",
    "assemble-rollouts",
    "assign-credit",
    "clickhouse",
  ]);
  await folds.ready();
  raw = await openReplayer(stack.context.client);
});

after(async () => {
  await raw?.close();
  await folds?.stop();
  await stack?.close();
});

type Hostile = { readonly what: string; readonly value: Buffer; readonly key?: Buffer | null };
/** A hostile record as it stands in its topic. */
type Placed = Hostile & { readonly topic: Attacked; readonly offset: number };

const unknownId = 987_654;
const headed = (id: number, rest: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.writeInt32BE(id, 1);
  return Buffer.concat([head, rest]);
};

/** What nobody can read, whatever the topic. */
function unreadable(topic: Attacked): Hostile[] {
  const { codec } = stack.context;
  const valid =
    topic === "requests"
      ? codec.encode(topic, enqueueOf("cut"))
      : topic === "spans"
        ? codec.encode(topic, { type: "SpanRecorded", value: callOf("cut", 0, 1) })
        : Buffer.alloc(0);
  return [
    { what: "no bytes", value: Buffer.alloc(0) },
    {
      what: "bad magic",
      value: Buffer.concat([Buffer.from([7]), valid.subarray(1), Buffer.from("x")]),
    },
    { what: "unknown schema id", value: headed(unknownId, Buffer.from("whatever")) },
    ...(valid.length === 0
      ? []
      : [
          { what: "truncated Avro", value: valid.subarray(0, valid.length - 9) },
          { what: "bytes behind the record", value: Buffer.concat([valid, Buffer.from("more")]) },
          {
            what: "huge varint",
            value: Buffer.concat([valid.subarray(0, 5), Buffer.alloc(24, 0xff)]),
          },
          { what: "no key", key: null, value: valid },
        ]),
    { what: "10 MB of garbage", value: randomBytes(10_000_000) },
    // With reason and place around it, its letter is larger than what such a topic takes.
    { what: "the largest record there can be", value: randomBytes(maxRecordBytes - 200) },
  ];
}

async function place(topic: Attacked, hostile: readonly Hostile[]): Promise<Placed[]> {
  const placed: Placed[] = [];
  for (const one of hostile) {
    const key = one.key === undefined ? Buffer.from("default/hostile") : one.key;
    const headers = { from: Buffer.from("a stranger") };
    const offset = await raw.send({ topic, partition: 0, key, value: one.value, headers });
    placed.push({ ...one, key, topic, offset });
  }
  return placed;
}

async function lettersFrom(reader: string): Promise<(DeadLettered & { at_offset: number })[]> {
  const letters: (DeadLettered & { at_offset: number })[] = [];
  const { client, codec } = stack.context;
  for await (const { letter, offset } of lettersOf(client, codec, reader)) {
    if (letter !== null) letters.push({ ...letter, at_offset: offset });
  }
  return letters;
}

/** Waits until the topic's reader keeps each of them in its dead letters, and compares the bytes. */
async function keptAsLetters(placed: readonly Placed[]): Promise<void> {
  for (const topic of doors) {
    const expected = placed.filter((one) => one.topic === topic);
    let letters: DeadLettered[] = [];
    const letterOf = ({ offset }: Placed) =>
      letters.find((l) => l.topic === topic && l.partition === 0 && l.offset === offset);
    await until(
      () =>
        `${attacked[topic]} keeps no letter of: ${expected
          .filter((one) => !letterOf(one))
          .map(({ what }) => what)}`,
      40_000,
      async () => {
        letters = await lettersFrom(attacked[topic]);
        return expected.every((one) => letterOf(one) !== undefined);
      },
    );
    for (const one of expected) {
      const letter = letterOf(one);
      assert.ok(letter !== undefined);
      assert.ok(Buffer.from(letter.value ?? []).equals(one.value), `bytes of ${one.what}`);
      assert.equal(letter.key === null, one.key === null, `key of ${one.what}`);
      assert.equal(Buffer.from(letter.headers.from ?? []).toString(), "a stranger");
      assert.ok(letter.reason.length > 10, `reason of ${one.what}: ${letter.reason}`);
    }
  }
}

/** Waits until the transitions of the loads are what an undisturbed run makes of them. */
async function flowed(loads: readonly Load[]): Promise<void> {
  const rollouts = new Set(loads.flatMap((load) => load.rollouts));
  const expected = (await Promise.all(loads.map(oracle))).flat().sort();
  let found: string[] = [];
  await until(
    () => `${found.length} of ${expected.length} transitions came`,
    40_000,
    async () => {
      found = (await recordsOf(stack, "transitions")).flatMap(({ record }) =>
        record?.type === "TransitionRecorded" && rollouts.has(record.value.rollout_id)
          ? [essence(record.value)]
          : [],
      );
      return found.length >= expected.length;
    },
  );
  assert.deepEqual(found.sort(), expected);
}

async function append(name: string): Promise<Load> {
  const load = makeLoad(name, 12, random);
  await appendLoad(stack.context.append, load, random);
  return load;
}

test("records nobody can read become dead letters with bytes, reason and place; good ones around them flow", async () => {
  const first = await append("before");
  const placed: Placed[] = [];
  for (const topic of doors) placed.push(...(await place(topic, unreadable(topic))));
  const last = await append("behind");
  await keptAsLetters(placed);
  await flowed([first, last]);
  assert.equal(folds.deaths, 0);
  const lookups = stack.askedOfRegistry.filter((path) => path.includes(`/ids/${unknownId}`));
  assert.ok(lookups.length <= 1, `the unknown id was looked up ${lookups.length} times`);
  const clickhouse = clickHouseOfStack(stack);
  try {
    let n = 0;
    await until(
      () => `ClickHouse has ${n} of ${placed.length} dead letters`,
      30_000,
      async () => {
        const [row] = await rowsOf<{ n: number }>(
          clickhouse,
          `SELECT toInt64(count()) AS n FROM dead_letters WHERE reader IN ('${Object.values(attacked).join("', '")}')`,
        );
        n = row?.n ?? 0;
        return n >= placed.length;
      },
    );
    assert.equal(n, placed.length);
  } finally {
    await clickhouse.close();
  }
});

test("records that decode but make no sense are refused by name, and harm nobody", async () => {
  const { codec } = stack.context;
  const request = codec.encode("requests", enqueueOf("ro-elsewhere"));
  const span = codec.encode("spans", { type: "SpanRecorded", value: callOf("x", 0, 1) });
  const placed = [
    ...(await place("requests", [{ what: "another's key", value: request }])),
    ...(await place("spans", [{ what: "another's key", value: span }])),
  ];
  const credit = { strategy: "wishful", parameters: {}, options: {} };
  const value = memberOf("r", 0, 1, { group_id: "wishful", group_size: 1, credit });
  const closing = codec.encode("steps", { type: "RolloutAssembled", value });
  const key = Buffer.from("default/wishful");
  placed.push(...(await place("steps", [{ what: "an unknown strategy", key, value: closing }])));
  const load = await append("sense");
  await keptAsLetters(placed);
  for (const topic of ["requests", "spans"] as const) {
    const reasons = (await lettersFrom(attacked[topic])).map(({ reason }) => reason);
    assert.match(reasons.at(-1) ?? "", /key/);
  }
  assert.match((await lettersFrom("assign-credit")).at(-1)?.reason ?? "", /wishful/);
  await flowed([load]);
});

test("a record that would grow beyond the limit in the fold becomes a dead letter, not a loop", async () => {
  const { codec } = stack.context;
  const requestWith = (bytes: number) =>
    codec.encode("requests", enqueueOf("ro-vast", { input: JSON.stringify("x".repeat(bytes)) }));
  const most = maxValueBytes - 1000;
  const value = requestWith(most + (maxValueBytes - requestWith(most).length));
  assert.equal(value.length, maxValueBytes, "it just fits into a record itself");
  const key = Buffer.from("default/ro-vast");
  const placed = await place("requests", [{ what: "a vast task", key, value }]);
  const load = await append("vast");
  await keptAsLetters(placed);
  assert.match(
    (await lettersFrom("track-rollouts")).at(-1)?.reason ?? "",
    /RolloutChanged .*bytes/,
  );
  await flowed([load]);
});

test("a reward that is no number is counted as invalid and reaches no transition", async () => {
  const load = makeLoad("nan", 1, random);
  const { rollout_id = "", attempt_id = "" } = load.spans[0] ?? {};
  const spans = load.spans.map((span) =>
    span.name === "agentlightning.annotation"
      ? rewardOf(span.span_id, 9, Number.NaN, { rollout_id, attempt_id })
      : span,
  );
  await appendLoad(stack.context.append, { ...load, spans }, random);
  await flowed([{ ...load, spans }]);
  const assembled = (await recordsOf(stack, "steps")).flatMap(({ record }) =>
    record?.type === "RolloutAssembled" && record.value.rollout_id === rollout_id
      ? [record.value]
      : [],
  );
  assert.deepEqual(
    assembled.map(({ reward, invalid_rewards }) => [reward, invalid_rewards]),
    [[null, 1]],
  );
});

test("a dead letter that is replayed comes back with its own bytes, key and headers", async () => {
  const [letter] = (await lettersFrom("track-rollouts")).filter(
    ({ code }) => code === "schema-unknown",
  );
  assert.ok(letter !== undefined);
  const launcher = fileURLToPath(new URL("../lightning.js", import.meta.url));
  const args = ["dead-letters", "replay", "track-rollouts", "--offset", String(letter.at_offset)];
  const env = childEnvironment(stack.settings);
  const { stdout } = await promisify(execFile)(process.execPath, [launcher, ...args], { env });
  const offset = Number(/offset (\d+) \(was/.exec(stdout)?.[1]);
  assert.ok(offset > letter.offset, stdout);
  const value = Buffer.from(letter.value ?? []);
  await keptAsLetters([
    { what: "replayed", topic: "requests", offset, value, key: Buffer.from("default/hostile") },
  ]);
});

test("with the registry away what is known flows on, and what is not waits for it", async () => {
  await stack.stopRegistry();
  const load = await append("without-registry");
  await flowed([load]);
  const value = headed(unknownId + 1, Buffer.from("new to everyone"));
  const placed: Placed[] = [];
  for (let i = 0; i < 5; i++)
    placed.push(...(await place("spans", [{ what: `unknown ${i}`, value }])));
  await sleep(2000);
  const early = (await lettersFrom("assemble-rollouts")).filter(
    (l) => l.offset === placed[0]?.offset,
  );
  assert.deepEqual(early, [], "condemned while nobody could be asked");
  const before = stack.askedOfRegistry.length;
  await stack.startRegistry();
  await keptAsLetters(placed);
  await flowed([await append("registry-back")]);
  const lookups = stack.askedOfRegistry
    .slice(before)
    .filter((path) => path.includes(`/ids/${unknownId + 1}`));
  assert.equal(lookups.length, 1, "lookups of one unknown id");
  assert.equal(folds.deaths, 0);
});
