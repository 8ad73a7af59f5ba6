import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ask, enqueueOf, t0 } from "../../processors/fixtures.ts";
import { roomLimit, timeOutRequest } from "../../processors/lifecycle/time-out.ts";
import { decide } from "../../processors/rollout-lifecycle.ts";
import type { Request } from "../../schemas/requests.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { createRoom } from "./make-room.ts";

/** A log in memory and the fold of it, as a gateway holds it. */
function logOf(most: number, isAway: () => boolean = () => false) {
  const rollouts = new Map<string, RolloutChanged>();
  let offset = 0;
  const fold = (request: Request): void => {
    const key = `default/${request.value.rollout_id}`;
    const at = { partition: 0, offset: offset++, timestamp: t0 + offset };
    const { rollout } = decide(rollouts.get(key), request, at);
    if (rollout === undefined) rollouts.delete(key);
    else rollouts.set(key, rollout);
    room.note(key, rollout);
  };
  const room = createRoom({
    most,
    get: (key) => rollouts.get(key),
    request(rollout, now) {
      const limit = roomLimit(rollout);
      return limit === null ? null : timeOutRequest(rollout, limit, now);
    },
    async submit(requests) {
      await Promise.resolve();
      if (isAway()) throw new Error("the log is away");
      requests.forEach(fold);
    },
  });
  return { fold, rollouts };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("what is finished stays within the bound, the newest; what is under way stays", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { maxLength: 60 }),
      fc.nat({ max: 12 }),
      async (ends, most) => {
        const { fold, rollouts } = logOf(most);
        for (const [i, end] of ends.entries()) {
          fold(enqueueOf(`ro-${i}`));
          if (end) fold(ask("CancelRequested", `ro-${i}`, `c-${i}`));
          if (i % 7 === 0) await settled();
        }
        await settled();
        const ids = ends.map((_, i) => i);
        const kept = most === 0 ? [] : ids.filter((i) => ends[i]).slice(-most);
        const expected = [...ids.filter((i) => !ends[i]), ...kept].sort((a, b) => a - b);
        const held = [...rollouts.values()].map(({ rollout_id }) => Number(rollout_id.slice(3)));
        assert.deepEqual(
          held.sort((a, b) => a - b),
          expected,
        );
      },
    ),
    { numRuns: 50 },
  );
});

test("a log that is away is asked again when the next one finishes", async () => {
  let away = true;
  const { fold, rollouts } = logOf(1, () => away);
  for (const id of ["a", "b", "c"]) {
    fold(enqueueOf(id));
    fold(ask("CancelRequested", id, `c ${id}`));
    await settled();
  }
  assert.equal(rollouts.size, 3);
  away = false;
  fold(enqueueOf("d"));
  fold(ask("CancelRequested", "d", "c d"));
  await settled();
  assert.deepEqual([...rollouts.keys()], ["default/d"]);
});

test("a rollout that was reopened and finished anew is not forgotten by an old request", () => {
  const { fold, rollouts } = logOf(10);
  fold(enqueueOf("a"));
  fold(ask("CancelRequested", "a", "c"));
  const before = rollouts.get("default/a");
  assert.ok(before !== undefined);
  const limit = roomLimit(before);
  assert.ok(limit !== null);
  fold(ask("PatchRequested", "a", "p", { patch: '{"status":"queuing"}' }));
  fold(ask("CancelRequested", "a", "c again"));
  fold(timeOutRequest(before, limit, t0 * 1000));
  assert.equal(rollouts.get("default/a")?.status, "cancelled");
});
