import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { codeOf } from "../../schemas/errors.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import type { ClickHouseClient } from "./client.ts";
import { countRollouts, lastRequests, type PastQuery, searchRollouts } from "./queries-history.ts";
import { countSpansBefore, spanPlaces } from "./queries-spans.ts";
import { createClickHouseSink } from "./sink.ts";
import { openTestDatabase, type TestDatabase } from "./test-database.ts";
import { delivery } from "./test-records/delivery.ts";
import { rolloutChanged } from "./test-records/rollouts.ts";
import { span } from "./test-records/spans.ts";

let db: TestDatabase;
const at = 1_790_000_000_000_000;

const everything: PastQuery = {
  project: "default",
  except: [],
  statusIn: null,
  rolloutIdIn: null,
  rolloutIdContains: null,
  logic: "and",
  sortBy: null,
  sortOrder: "asc",
  limit: -1,
  offset: 0,
};

/** Five rollouts in the order of their letters; each has changed before. */
const rollouts: Partial<RolloutChanged>[] = [
  { rollout_id: "ro-a", status: "succeeded", mode: "train", ended_at: at + 50, resources_id: "x" },
  { rollout_id: "ro-b", status: "failed", mode: null, ended_at: at + 20, resources_id: null },
  { rollout_id: "ro-c", status: "succeeded", mode: "val", ended_at: null, resources_id: "b" },
  { rollout_id: "ro-d'\\", status: "cancelled", mode: "test", ended_at: at + 20 },
  { rollout_id: "xx-e", status: "succeeded", mode: null, ended_at: at + 70, resources_id: "a" },
];

before(async () => {
  db = await openTestDatabase();
  const sink = createClickHouseSink({ client: db.client });
  const changes = rollouts.flatMap((values, i) => {
    const all = { resources_id: "c", enqueued_at: at + i, ...values };
    return [
      rolloutChanged({ ...all, request_offset: 2 * i, status: "running", ended_at: null }),
      rolloutChanged({ ...all, request_offset: 2 * i + 1 }),
    ];
  });
  const elsewhere = rolloutChanged({ project: "other", rollout_id: "ro-z", request_offset: 77 });
  await sink.write(delivery("rollouts", [...changes, elsewhere]));
  const spans = [1, 2, 3].map((n) => span({ rollout_id: "ro-a", span_id: `s${n}` }));
  await sink.write(delivery("spans", [...spans, span({ project: "other" })]));
});

after(() => db.close());

async function idsOf(query: Partial<PastQuery>): Promise<string[]> {
  const { places, total } = await searchRollouts(db.client, { ...everything, ...query });
  if (query.limit === undefined && query.offset === undefined) assert.equal(total, places.length);
  return places.map(({ rollout_id }) => rollout_id.slice(3, 4));
}

test("past rollouts are found by status, id and part of id, joined by and or by or", async () => {
  assert.deepEqual(await idsOf({}), ["a", "b", "c", "d", "e"]);
  assert.deepEqual(await idsOf({ statusIn: ["succeeded", "failed"] }), ["a", "b", "c", "e"]);
  assert.deepEqual(await idsOf({ statusIn: ["running"] }), [], "a status it had before");
  assert.deepEqual(await idsOf({ statusIn: [] }), []);
  assert.deepEqual(await idsOf({ rolloutIdIn: ["ro-b", "ro-d'\\", "none"] }), ["b", "d"]);
  assert.deepEqual(await idsOf({ rolloutIdContains: "xx" }), ["e"]);
  assert.deepEqual(await idsOf({ rolloutIdContains: "XX" }), []);
  assert.deepEqual(await idsOf({ rolloutIdContains: "'\\" }), ["d"]);
  assert.deepEqual(await idsOf({ rolloutIdContains: "%" }), []);
  const both = { statusIn: ["succeeded"], rolloutIdContains: "ro-" };
  assert.deepEqual(await idsOf(both), ["a", "c"]);
  assert.deepEqual(await idsOf({ ...both, logic: "or" }), ["a", "b", "c", "d", "e"]);
  assert.deepEqual(await idsOf({ statusIn: [], rolloutIdIn: ["ro-b"], logic: "or" }), ["b"]);
  assert.deepEqual(await idsOf({ except: ["ro-a", "ro-d'\\"] }), ["b", "c", "e"]);
});

test("sorted as the reference does: times without a value last, texts without one first", async () => {
  const sorted = (sortBy: string, sortOrder: "asc" | "desc"): Promise<string[]> =>
    idsOf({ sortBy, sortOrder });
  assert.deepEqual(await sorted("end_time", "asc"), ["b", "d", "a", "e", "c"]);
  assert.deepEqual(await sorted("end_time", "desc"), ["c", "e", "a", "b", "d"]);
  assert.deepEqual(await sorted("resources_id", "asc"), ["b", "e", "c", "d", "a"]);
  assert.deepEqual(await sorted("resources_id", "desc"), ["a", "d", "c", "e", "b"]);
  assert.deepEqual(await sorted("mode", "asc"), ["b", "e", "d", "a", "c"]);
  assert.deepEqual(await sorted("status", "desc"), ["a", "c", "e", "b", "d"]);
  assert.deepEqual(await sorted("rollout_id", "desc"), ["e", "d", "c", "b", "a"]);
  assert.deepEqual(await sorted("start_time", "desc"), ["e", "d", "c", "b", "a"]);
  await assert.rejects(sorted("input", "asc"), (error) => codeOf(error) === "request-invalid");
});

test("pages know the total, and a page past the end is empty", async () => {
  const page = await searchRollouts(db.client, { ...everything, limit: 2, offset: 3 });
  assert.deepEqual([page.total, page.places.length, page.places[0]?.rollout_id], [5, 2, "ro-d'\\"]);
  assert.deepEqual(page.places[0]?.sort_key, at + 3);
  const ends = await searchRollouts(db.client, { ...everything, sortBy: "end_time" });
  assert.ok(ends.places.every(({ sort_key }) => typeof sort_key === "number" && sort_key >= at));
  const past = await searchRollouts(db.client, { ...everything, limit: 2, offset: 9 });
  assert.deepEqual([past.total, past.places.length], [5, 0]);
  assert.deepEqual(await idsOf({ limit: 0 }), []);
});

test("rollouts, attempts and spans are counted by project", async () => {
  const counted = await countRollouts(db.client, "default", ["ro-a"]);
  assert.deepEqual({ ...counted }, { rollouts: 4, attempts: 8 });
  assert.deepEqual(
    { ...(await countRollouts(db.client, "nobody", [])) },
    { rollouts: 0, attempts: 0 },
  );
  assert.equal(await countSpansBefore(db.client, "default", new Map([[0, 2]])), 2);
  assert.equal(await countSpansBefore(db.client, "default", new Map()), 0);
  const places = await spanPlaces(db.client, "default", ["ro-a", "ro-b"]);
  assert.deepEqual(places.map((one) => one.span_id).sort(), ["s1", "s2", "s3"]);
  assert.equal((await lastRequests(db.client)).get(0), 77);
});

/** The client, whose queries may not take more memory. */
function within(client: ClickHouseClient, bytes: number): ClickHouseClient {
  const query: ClickHouseClient["query"] = (asked) =>
    client.query({
      ...asked,
      clickhouse_settings: { ...asked.clickhouse_settings, max_memory_usage: String(bytes) },
    } as never) as never;
  return new Proxy(client, {
    get: (target, name) => (name === "query" ? query : Reflect.get(target, name, target)),
  });
}

test("a page of 100,000 finished rollouts takes the memory of the page", async () => {
  const columns =
    "project, rollout_id, request_offset, status, input, enqueued_at, ended_at, metadata";
  await db.client.command({
    query: `INSERT INTO rollout_changes (${columns})
      SELECT 'many', concat('ro-', toString(intDiv(number, 2))), number,
        if(number % 2 = 0, 'running', 'succeeded'), repeat(toString(cityHash64(number)), 100),
        toDateTime64(1790000000 + intDiv(number, 2), 6), toDateTime64(1790000000 + number, 6), '{}'
      FROM numbers(200000)`,
  });
  // All of it is 400 MB.
  const client = within(db.client, 64 * 1024 * 1024);
  const query = { ...everything, project: "many", statusIn: ["succeeded"], limit: 50 };
  const page = await searchRollouts(client, { ...query, offset: 99_900 });
  assert.deepEqual([page.total, page.places.length], [100_000, 50]);
  assert.equal(page.places[0]?.rollout_id, "ro-99900");
  const sorted = await searchRollouts(client, {
    ...query,
    sortBy: "end_time",
    sortOrder: "desc",
    offset: 0,
    except: Array.from({ length: 5000 }, (_, i) => `ro-${99_999 - i}`),
  });
  assert.deepEqual([sorted.total, sorted.places[0]?.rollout_id], [95_000, "ro-94999"]);
  assert.equal((await countRollouts(client, "many", [])).rollouts, 100_000);
});
