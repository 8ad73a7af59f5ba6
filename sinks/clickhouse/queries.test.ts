import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { packFloat64, packInt32, unpackFloat64 } from "../../schemas/bytes.ts";
import type { Tagged } from "../../schemas/records.ts";
import type { Attributes, SpanRecorded } from "../../schemas/types.ts";
import type { Sink } from "../sink.ts";
import { rowsOf } from "./client.ts";
import { rolloutHistory, rolloutsById, transitionsOf } from "./queries.ts";
import { duplicates, figuresOf, meanRewards, meanRewardsByPolicy } from "./queries-figures.ts";
import { spansOf } from "./queries-spans.ts";
import { questions } from "./questions.ts";
import { createClickHouseSink } from "./sink.ts";
import { readOnlySql } from "./sql-query.ts";
import { openTestDatabase, type TestDatabase } from "./test-database.ts";
import { callOmitted, step, transition } from "./test-records/credit.ts";
import { delivery } from "./test-records/delivery.ts";
import { others } from "./test-records/others.ts";
import { rolloutChanged } from "./test-records/rollouts.ts";
import { attemptEnded, noAttributes, span } from "./test-records/spans.ts";

let db: TestDatabase;
let sink: Sink;

before(async () => {
  db = await openTestDatabase();
  sink = createClickHouseSink({ client: db.client });
  const tool = span({
    span_id: "tool",
    sequence_id: 2,
    name: "find_rooms",
    attributes: {
      ...noAttributes,
      strings: { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_rooms" },
    },
  });
  const reward = span({
    span_id: "reward",
    sequence_id: 3,
    name: "agentlightning.annotation",
    attributes: {
      ...noAttributes,
      strings: {
        "agentlightning.reward.0.name": "primary",
        "agentlightning.reward.1.name": "style",
      },
      longs: { "agentlightning.reward.0.value": 1 },
      doubles: { "agentlightning.reward.1.value": 0.25 },
    },
  });
  const late = span({ span_id: "late", sequence_id: 4, name: "cleanup", attributes: noAttributes });
  await sink.write(delivery("spans", [span(), tool, reward, attemptEnded(), late]));
  const second = rolloutChanged({
    request_offset: 8,
    status: "succeeded",
    resources_id: null,
    ended_at: 1_790_000_000_999_999,
  });
  await sink.write(delivery("rollouts", [rolloutChanged(), second]));
  const revised = { revision: 1 };
  const written = [step(), step({ step_index: 1 }), step(revised), callOmitted(revised)];
  await sink.write(delivery("steps", [...written, ...pick("RolloutAssembled")]));
  await sink.write(
    delivery("transitions", [
      transition(),
      transition({ revision: 1, advantage: 2 }),
      ...pick("GroupClosed"),
    ]),
  );
  await sink.write(delivery("resources", pick("ResourcesUpdated", "ProjectConfigured")));
  await sink.write(delivery("batches", pick("BatchLeased", "BatchTrained", "BatchReturned")));
  await sink.write(delivery("clickhouse.dead-letters", pick("DeadLettered")));
});
after(() => db.close());

function pick(...types: readonly string[]): Tagged[] {
  return others.filter(({ type }) => types.includes(type));
}

/** Attributes with numbers in place of packed bytes, so that NaN equals NaN. */
function readable(a: Attributes): unknown {
  const doubles = Object.entries(a.double_lists).map(([name, list]) => [
    name,
    [...unpackFloat64(list)],
  ]);
  const ints = Object.entries(a.int_lists).map(([name, list]) => [name, [...list]]);
  return { ...a, double_lists: Object.fromEntries(doubles), int_lists: Object.fromEntries(ints) };
}

function comparable(value: SpanRecorded): unknown {
  return {
    ...value,
    attributes: readable(value.attributes),
    resource: readable(value.resource),
    events: value.events.map((event) => ({ ...event, attributes: readable(event.attributes) })),
    links: value.links.map((link) => ({ ...link, attributes: readable(link.attributes) })),
  };
}

const name = fc.string({ minLength: 1, maxLength: 12 }).filter((text) => text !== "__proto__");
const values = <T>(value: fc.Arbitrary<T>) =>
  fc.dictionary(name, value, { maxKeys: 3, noNullPrototype: true });
const attributes: fc.Arbitrary<Attributes> = fc.record({
  strings: values(fc.string({ unit: "grapheme" })),
  longs: values(fc.maxSafeInteger()),
  doubles: values(fc.double()),
  booleans: values(fc.boolean()),
  int_lists: values(fc.array(fc.integer(), { minLength: 1 }).map(packInt32)),
  double_lists: values(fc.array(fc.double(), { minLength: 1 }).map(packFloat64)),
  json: values(fc.constantFrom("null", '["a"]', "12345678901234567890", "[[1]]", "{}", "[]")),
});
/** Every name once over all parts, as an attribute has one value. */
const distinct = attributes.map((a) => {
  const parts = Object.entries(a).map(([part, entries]) => [
    part,
    Object.fromEntries(Object.entries(entries).map(([key, value]) => [`${part} ${key}`, value])),
  ]);
  return Object.fromEntries(parts) as Attributes;
});
const time = fc.integer({ min: -2_000_000_000_000_000, max: 8_000_000_000_000_000 });
const nanos = fc.integer({ min: 0, max: 999 });

test("a span comes back from ClickHouse as it was recorded", async () => {
  const spans = fc.record({
    sequence_id: fc.option(fc.maxSafeInteger()),
    parent_id: fc.option(fc.string()),
    name: fc.string({ unit: "grapheme", maxLength: 60 }),
    start_time: time,
    start_nanos: nanos,
    end_time: time,
    end_nanos: nanos,
    attributes: distinct,
    resource: distinct,
    extra: fc.option(fc.json()),
    events: fc.array(
      fc.record({ name, time, nanos, attributes: distinct, dropped_attributes: fc.nat() }),
      { maxLength: 2 },
    ),
    links: fc.array(
      fc.record({
        trace_id: name,
        span_id: name,
        trace_state: fc.string(),
        attributes: distinct,
        dropped_attributes: fc.nat(),
      }),
      { maxLength: 2 },
    ),
  });
  let offset = 10_000;
  await fc.assert(
    fc.asyncProperty(fc.array(spans, { minLength: 1, maxLength: 20 }), async (drawn) => {
      const rolloutId = `ro-round-trip-${offset}`;
      const records = drawn.map((values, i) =>
        span({ ...values, rollout_id: rolloutId, span_id: String(i) }),
      );
      await sink.write(delivery("spans", records, offset));
      offset += records.length;
      const found = await spansOf(db.client, { project: "default", rolloutIds: [rolloutId] });
      assert.equal(found.length, records.length);
      for (const { value } of records) {
        const {
          kafka_partition: _p,
          kafka_offset: _o,
          ...stored
        } = found.find(({ span_id }) => span_id === value.span_id) ?? assert.fail(value.span_id);
        assert.deepEqual(comparable(stored), comparable(value));
      }
    }),
    { numRuns: 15 },
  );
});

test("a rollout is what its last change left, nulls included, and its history is kept", async () => {
  const history = await rolloutHistory(db.client, "default", "ro-1");
  assert.deepEqual(
    history.map(({ request_offset, status }) => [request_offset, status]),
    [
      [5, "running"],
      [8, "succeeded"],
    ],
  );
  const [first] = history;
  const recorded = rolloutChanged();
  assert.equal(recorded.type, "RolloutChanged");
  const {
    recent_requests: _r,
    recent_sequences: _s,
    marked_attempts: _m,
    keeps_place: _k,
    ...facts
  } = recorded.value;
  assert.deepEqual(first, { ...facts, kafka_partition: 0, kafka_offset: 0 });
  const [latest] = await rolloutsById(db.client, "default", ["ro-1", "ro-unknown"]);
  assert.equal(latest?.resources_id, null);
  const viewed = await rowsOf(
    db.client,
    "SELECT status, resources_id, ended_at IS NOT NULL AS ended FROM rollouts WHERE rollout_id = 'ro-1'",
  );
  assert.deepEqual(viewed, [{ status: "succeeded", resources_id: null, ended: 1 }]);
  const attempts = await rowsOf(
    db.client,
    "SELECT attempt_id, sequence_id FROM attempts WHERE rollout_id = 'ro-1' ORDER BY sequence_id",
  );
  assert.deepEqual(attempts, [
    { attempt_id: "at-1", sequence_id: 1 },
    { attempt_id: "at-2", sequence_id: 2 },
  ]);
});

test("a transition comes back as it was recorded, in its newest revision", async () => {
  const recorded = transition({ revision: 1, advantage: 2 });
  assert.deepEqual(
    (await transitionsOf(db.client, "default", "ro-1")).map((row) => ({
      ...row,
      prompt_ids: [...row.prompt_ids],
      response_ids: [...row.response_ids],
      logprobs: [...row.logprobs],
    })),
    [recorded].map(({ value }) => {
      assert.ok("advantage" in value);
      return {
        ...value,
        prompt_ids: [...value.prompt_ids],
        response_ids: [...value.response_ids],
        logprobs: [...value.logprobs],
      };
    }),
  );
});

test("the figures are counted from the tables", async () => {
  assert.deepEqual(
    { ...(await figuresOf(db.client, "default")), spans: 0 },
    {
      rollouts: 1,
      finished: 1,
      spans: 0,
      lateSpans: 1,
      steps: 1,
      transitions: 1,
      trained: 2,
      resourceVersions: 1,
      deadLetters: 1,
    },
  );
  assert.equal((await figuresOf(db.client, "nobody")).rollouts, 0);
  assert.ok(Object.values(await duplicates(db.client)).every((rows) => rows === 0));
  const [mean] = await meanRewards(db.client, "default");
  assert.deepEqual([mean?.mode, mean?.resources_version, mean?.mean_reward], ["train", 3, 0.5]);
  const [policy] = await meanRewardsByPolicy(db.client, "default");
  assert.deepEqual([policy?.policy_version, policy?.rollouts, policy?.mean_reward], [3, 1, 0.5]);
});

test("the views find model calls, tool calls, rewards and late spans", async () => {
  const where = "WHERE rollout_id = 'ro-1'";
  assert.deepEqual(
    await rowsOf(db.client, `SELECT span_id, model, prompt_tokens FROM llm_calls ${where}`),
    [{ span_id: "b7ad6b7169203331", model: "room-1", prompt_tokens: 12 }],
  );
  assert.deepEqual(await rowsOf(db.client, `SELECT tool FROM tool_calls ${where}`), [
    { tool: "find_rooms" },
  ]);
  assert.deepEqual(
    await rowsOf(db.client, `SELECT name, value, primary FROM rewards ${where} ORDER BY position`),
    [
      { name: "primary", value: 1, primary: 1 },
      { name: "style", value: 0.25, primary: 0 },
    ],
  );
  assert.deepEqual(
    await rowsOf(db.client, `SELECT span_id, kafka_offset, mark_offset FROM late_spans ${where}`),
    [{ span_id: "late", kafka_offset: 4, mark_offset: 3 }],
  );
});

test("otel_traces has the columns and types of OpenTelemetry's ClickHouse exporter", async () => {
  const columns = await rowsOf<{ name: string; type: string }>(db.client, "DESCRIBE otel_traces");
  const text = "String";
  const word = "LowCardinality(String)";
  const map = "Map(LowCardinality(String), String)";
  const official: Record<string, string> = {
    Timestamp: "DateTime64(9)",
    TraceId: text,
    SpanId: text,
    ParentSpanId: text,
    TraceState: text,
    SpanName: word,
    SpanKind: word,
    ServiceName: word,
    ResourceAttributes: map,
    ScopeName: text,
    ScopeVersion: text,
    SpanAttributes: map,
    Duration: "UInt64",
    StatusCode: word,
    StatusMessage: text,
    "Events.Timestamp": "Array(DateTime64(9))",
    "Events.Name": `Array(${word})`,
    "Events.Attributes": `Array(${map})`,
    "Links.TraceId": "Array(String)",
    "Links.SpanId": "Array(String)",
    "Links.TraceState": "Array(String)",
    "Links.Attributes": `Array(${map})`,
  };
  const plain = columns.map(({ name, type }) => [name, type.replace(", 'UTC'", "")]);
  assert.deepEqual(Object.fromEntries(plain), official);
  const [row] = await rowsOf<Record<string, unknown>>(
    db.client,
    "SELECT SpanKind, StatusCode, Duration, SpanAttributes['prompt_token_ids'] AS ids, ResourceAttributes['pid'] AS pid FROM otel_traces WHERE SpanId = 'b7ad6b7169203331'",
  );
  assert.deepEqual(row, {
    SpanKind: "Client",
    StatusCode: "Ok",
    Duration: 1_500_998,
    ids: "[1,2,-3]",
    pid: "7",
  });
});

for (const { name: title, sql } of questions()) {
  test(`the question "${title}" has an answer`, async () => {
    const answer = JSON.parse(await readOnlySql(db.client, sql)) as { rows: number };
    assert.ok(answer.rows > 0);
  });
}
