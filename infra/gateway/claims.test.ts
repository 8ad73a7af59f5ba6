import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Answer } from "../../producers/gateway/ports.ts";
import type { Request } from "../../schemas/requests.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { createClaimQueue } from "./claim-queue.ts";
import { type Claims, createClaims, createStamp } from "./claims.ts";

/** A log that decides claims of several gateways, each of which hears of the others a while later. */
function openLog(rollouts: number) {
  const claimed = new Map<string, string>();
  const folds: { hear(key: string): void }[] = [];
  const counts = { appends: 0, lost: 0 };

  function gateway(delay: () => number): Claims {
    const queue = createClaimQueue();
    const known = new Map<string, RolloutChanged>();
    const set = (key: string, status: string): void => {
      const queued_at = Number(key.slice(2));
      const rollout = { rollout_id: key.slice(2), status, queued_at, request_offset: 0 };
      known.set(key, rollout as RolloutChanged);
      queue.update(key, known.get(key));
    };
    for (let i = 0; i < rollouts; i++) set(`p/${i}`, "queuing");
    folds.push({ hear: (key) => set(key, "preparing") });
    return createClaims({
      next: (_project, taken) => queue.next(taken),
      get: (key) => known.get(key),
      stamp: createStamp(),
      caughtUp: async () => undefined,
      async submit(requests) {
        counts.appends += 1;
        const answers = requests.map((request) => decide(request, known));
        for (let turns = delay(); turns > 0; turns--) await new Promise((go) => setImmediate(go));
        for (const key of claimed.keys()) for (const fold of folds) fold.hear(key);
        return answers;
      },
    });
  }

  function decide(request: Request, known: ReadonlyMap<string, RolloutChanged>): Answer {
    const key = `p/${request.value.rollout_id}`;
    const won = !claimed.has(key);
    if (won) claimed.set(key, request.value.request_id);
    else counts.lost += 1;
    const rollout = known.get(key) ?? null;
    const outcome = won ? "accepted" : "void";
    return { outcome, reason: null, message: "", attemptId: null, sequenceId: null, rollout };
  }
  return { claimed, counts, gateway };
}

test("claims of two gateways hand out each rollout once, and a queue that is dry says so", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(20),
      fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 4 })), { maxLength: 12 }),
      fc.infiniteStream(fc.nat(3)),
      async (rollouts, claims, delays) => {
        const log = openLog(rollouts);
        const delay = (): number => delays.next().value ?? 0;
        const gateways = [log.gateway(delay), log.gateway(delay)];
        const taken = await Promise.all(
          claims.map(([second, limit]) =>
            gateways[Number(second)]?.claim("p", { workerId: null, limit, requestId: "" }),
          ),
        );
        const ids = taken.flat().map((rollout) => rollout?.rollout_id);
        assert.equal(new Set(ids).size, ids.length);
        const wanted = claims.reduce((sum, [, limit]) => sum + limit, 0);
        assert.equal(ids.length, Math.min(rollouts, wanted));
        for (const rows of taken) {
          const places = rows?.map(({ queued_at }) => queued_at) ?? [];
          assert.deepEqual(
            places,
            places.toSorted((a, b) => a - b),
          );
        }
        // Whatever was taken is the head of the queue: nothing was passed over.
        const heads = Array.from({ length: ids.length }, (_, i) => String(i));
        assert.deepEqual(ids.toSorted(), heads.toSorted());
      },
    ),
    { numRuns: 200 },
  );
});

test("all who ask at one time share one append", async () => {
  const log = openLog(100);
  const { claim } = log.gateway(() => 1);
  const one = { workerId: "w", limit: 1, requestId: "" };
  await Promise.all(Array.from({ length: 64 }, () => claim("p", one)));
  assert.equal(log.claimed.size, 64);
  assert.equal(log.counts.appends, 1);
});

test("a claim that the log does not answer fails, and its rollout is offered again", async () => {
  let away = true;
  const log = openLog(1);
  const gateway = log.gateway(() => 0);
  const queue = createClaimQueue();
  const rollout = { rollout_id: "0", status: "queuing", queued_at: 0, request_offset: 0 };
  queue.update("p/0", rollout as RolloutChanged);
  const claims = createClaims({
    next: (_project, taken) => queue.next(taken),
    get: () => rollout as RolloutChanged,
    stamp: createStamp(),
    caughtUp: async () => undefined,
    async submit() {
      if (away) throw new Error("away");
      return [{ outcome: "accepted", rollout: rollout as RolloutChanged } as Answer];
    },
  });
  const one = { workerId: "w", limit: 1, requestId: "" };
  await assert.rejects(claims.claim("p", one), /away/);
  away = false;
  assert.equal((await claims.claim("p", one)).length, 1);
  assert.equal((await gateway.claim("p", one)).length, 1);
});

test("a claim that is asked again under its id gets what it won", async () => {
  const log = openLog(3);
  const gateway = log.gateway(() => 0);
  const asked = { workerId: "w", limit: 2, requestId: "c" };
  const first = await gateway.claim("p", asked);
  for (const [key, requestId] of log.claimed) gateway.won("p", requestId, key);
  const again = await gateway.claim("p", asked);
  assert.deepEqual(
    again.map(({ rollout_id }) => rollout_id),
    first.map(({ rollout_id }) => rollout_id),
  );
  assert.equal(log.claimed.size, 2);
});

test("stamps grow also within a microsecond and when the clock goes back", () => {
  const times = [5, 5, 3, 6];
  const stamp = createStamp(() => times.shift() ?? 0);
  assert.deepEqual([stamp(), stamp(), stamp(), stamp()], [5000, 5001, 5002, 6000]);
});

test("a queue is called empty only when the log was read to its end", async () => {
  const queue = createClaimQueue();
  const rollout = { rollout_id: "0", status: "queuing", queued_at: 0, request_offset: 0 };
  const claims = createClaims({
    next: (_project, taken) => queue.next(taken),
    get: () => rollout as RolloutChanged,
    stamp: createStamp(),
    caughtUp: async () => queue.update("p/0", rollout as RolloutChanged),
    submit: async () => [{ outcome: "accepted", rollout: rollout as RolloutChanged } as Answer],
  });
  const claimed = await claims.claim("p", { workerId: null, limit: 1, requestId: "" });
  assert.equal(claimed.length, 1, "enqueued at another gateway a moment ago");
});
