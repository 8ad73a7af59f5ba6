import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RolloutChanged } from "../../schemas/types.ts";
import { createClaimMemory, createClaimQueue } from "./claim-queue.ts";

function rollout(status: string, queued_at: number, request_offset = 0): RolloutChanged {
  return { status, queued_at, request_offset } as RolloutChanged;
}

const nobody = new Set<string>();

test("rollouts come out in the order of log time, whatever the order they were heard of", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(10_000), { maxLength: 200 }), (times) => {
      const queue = createClaimQueue();
      for (const time of times) queue.update(`r${time}`, rollout("queuing", time));
      const out: string[] = [];
      for (let key = queue.next(nobody); key !== undefined; key = queue.next(nobody)) {
        out.push(key);
        queue.update(key, rollout("preparing", 0));
      }
      assert.deepEqual(
        out,
        [...times].sort((a, b) => a - b).map((time) => `r${time}`),
      );
      assert.equal(queue.size, 0);
    }),
  );
});

test("a rollout that is put back waits behind those that were there", () => {
  const queue = createClaimQueue();
  queue.update("a", rollout("queuing", 1));
  queue.update("b", rollout("queuing", 2));
  queue.update("a", rollout("preparing", 1));
  queue.update("a", rollout("requeuing", 3));
  assert.equal(queue.next(nobody), "b");
  assert.equal(queue.next(new Set(["b"])), "a");
});

test("one that is being claimed is not offered again, and comes back when the claim was lost", () => {
  const queue = createClaimQueue();
  queue.update("a", rollout("queuing", 1));
  assert.equal(queue.next(new Set(["a"])), undefined);
  assert.equal(queue.next(nobody), "a");
});

test("a claim that is asked again finds what it won, and no other claim does", () => {
  const memory = createClaimMemory();
  memory.note("p", "key/with/slash/0/0", "p/a");
  memory.note("p", "key/with/slash/1/3", "p/b");
  assert.deepEqual(memory.of("p", "key/with/slash"), ["p/a", "p/b"]);
  assert.deepEqual(memory.of("q", "key/with/slash"), []);
  assert.deepEqual(memory.of("p", "key/with"), []);
});
