import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RolloutChanged } from "../../../schemas/types.ts";
import { testGateway } from "../testing.ts";
import { noHistory } from "../testing-store.ts";
import { paged, rolloutMatches, rolloutModel, sorted } from "./search.ts";

/** Any rollout, as the gateway's memory makes it. */
async function anyRollout(): Promise<RolloutChanged> {
  const { app, rollouts } = await testGateway();
  await app.inject({
    method: "POST",
    url: "/api/v1/rollouts",
    payload: { input: 1, rollout_id: "r" },
  });
  const rollout = rollouts.get("default", "r");
  assert.ok(rollout !== undefined);
  return rollout;
}

const ended = ["succeeded", "failed", "cancelled"];
/** As ClickHouse says it: every field that the drawn queries sort by. */
function sortKey(one: RolloutChanged, field: string | null): number | string {
  if (field === "status") return one.status;
  if (field === "rollout_id") return one.rollout_id;
  return field === "end_time" ? (one.ended_at ?? Number.MAX_SAFE_INTEGER) : one.enqueued_at;
}

const query = fc.record({
  status_in: fc.option(fc.subarray(["queuing", "running", ...ended])),
  rollout_id_contains: fc.option(fc.constantFrom("1", "r", "7")),
  filter_logic: fc.constantFrom("and", "or"),
  sort_by: fc.option(fc.constantFrom("status", "end_time", "rollout_id", "start_time")),
  sort_order: fc.constantFrom("asc", "desc"),
  limit: fc.constantFrom(-1, 1, 3, 8, 50),
  offset: fc.nat(40),
});

test("a page over live and past rollouts is that of all together, and fetches no others whole", async () => {
  const base = await anyRollout();
  const some = fc.array(fc.record({ live: fc.boolean(), status: fc.nat(4) }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(some, query, async (drawn, asked) => {
      const all = drawn.map(({ live, status }, i): RolloutChanged => {
        const name = live
          ? (["queuing", "running", ...ended][status] ?? "")
          : (ended[status % 3] ?? "");
        const ended_at = ended.includes(name) ? 5_000_000 - 1000 * (i % 7) : null;
        return { ...base, rollout_id: `r${i}`, status: name, enqueued_at: 1_000_000 + i, ended_at };
      });
      let fetched = 0;
      const live = all.filter((_, i) => drawn[i]?.live === true);
      const past = all.filter((_, i) => drawn[i]?.live === false);
      const { rollouts } = await testGateway();
      const { app } = await testGateway({
        rollouts: {
          ...rollouts,
          list: () => live,
          get: (_project, id) => live.find(({ rollout_id }) => rollout_id === id),
        },
        history: {
          ...noHistory,
          async search(_project, wanted) {
            const found = sorted(past.filter(rolloutMatches(wanted)), rolloutModel, wanted);
            const places = paged(found, wanted).map((one) => ({
              rollout_id: one.rollout_id,
              enqueued_at: one.enqueued_at,
              sort_key: sortKey(one, wanted.sortBy),
            }));
            return { places, total: found.length };
          },
          async rows(_project, ids) {
            fetched += ids.length;
            return ids.flatMap((id) => past.find(({ rollout_id }) => rollout_id === id) ?? []);
          },
        },
      });
      const payload = Object.fromEntries(
        Object.entries(asked).filter(([, value]) => value !== null),
      );
      const answer = await app.inject({ method: "POST", url: "/v1/agl/rollouts/search", payload });
      assert.equal(answer.statusCode, 200, answer.body);
      const page = answer.json<{ items: { rollout_id: string }[]; total: number }>();
      const whole = {
        statusIn: asked.status_in,
        rolloutIdIn: null,
        rolloutIdContains: asked.rollout_id_contains,
        logic: asked.filter_logic,
        sortBy: asked.sort_by,
        sortOrder: asked.sort_order,
        limit: asked.limit,
        offset: asked.offset,
      } as const;
      const expected = sorted(all.filter(rolloutMatches(whole)), rolloutModel, whole);
      assert.equal(page.total, expected.length);
      assert.deepEqual(
        page.items.map(({ rollout_id }) => rollout_id),
        paged(expected, whole).map(({ rollout_id }) => rollout_id),
      );
      const seen = page.items.filter(({ rollout_id }) =>
        past.some((one) => one.rollout_id === rollout_id),
      );
      assert.equal(fetched, seen.length);
    }),
    { numRuns: 150 },
  );
});
