import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { listRooms, rooms } from "./rooms.ts";
import { generateTasks, isAdequate } from "./tasks.ts";

const anySeed = fc.integer({ min: 0 });

test("the same seed gives the same tasks, another seed others", () => {
  assert.deepEqual(generateTasks(4, 50, 20), generateTasks(4, 50, 20));
  assert.notDeepEqual(generateTasks(4, 50, 20), generateTasks(5, 50, 20));
});

test("no held-out wish is trained on, and every wish can be met", () => {
  fc.assert(
    fc.property(anySeed, (seed) => {
      const { train, heldOut } = generateTasks(seed, 400, 100);
      assert.deepEqual([train.length, heldOut.length], [400, 100]);
      const trained = new Set(train.map(({ id }) => id));
      assert.equal(trained.size, train.length);
      assert.ok(heldOut.every(({ id }) => !trained.has(id)));
      for (const task of [...train, ...heldOut]) {
        assert.ok(rooms.some((room) => isAdequate(room, task)));
      }
    }),
    { numRuns: 20 },
  );
});

test("the request says what is wished for and names no room", () => {
  for (const { request, people, hour, equipment } of generateTasks(1, 400, 0).train) {
    for (const part of [`${people} people`, `${hour}:00`, ...equipment]) {
      assert.ok(request.includes(part), `${part} in ${request}`);
    }
    assert.ok(rooms.every(({ id }) => !request.includes(id)));
  }
});

test("what the tool tells fits several right rooms: which one it is, is not in it", () => {
  const { train } = generateTasks(2, 400, 0);
  const atTen = train.filter(({ hour }) => hour === 10);
  const right = new Set(atTen.map((task) => rooms.find((room) => isAdequate(room, task))?.id));
  assert.ok(right.size > 2, "several rooms are right at that hour");
  assert.doesNotMatch(listRooms(10), /best|right|reward|smallest/i);
});

test("no two rooms have as many seats, so one room is always the smallest", () => {
  assert.equal(new Set(rooms.map(({ seats }) => seats)).size, rooms.length);
});
