import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grade } from "./grade.ts";
import { hours, rooms } from "./rooms.ts";
import { generateTasks, type Task } from "./tasks.ts";

const task: Task = {
  id: "t",
  request: "Find a room for 4 people at 10:00 with a projector",
  people: 4,
  hour: 10,
  equipment: ["projector"],
};

test("the smallest room that meets everything earns 1, a larger one less, a wrong one little", () => {
  const of = (answer: string) => grade(task, { lookedUpHour: 10, answer });
  assert.equal(of("cedar"), 1);
  assert.equal(of(" Cedar\n"), 1);
  assert.ok(of("oak") < 1 && of("oak") > 0.5);
  assert.ok(of("maple") < 0.4 && of("maple") > 0);
  assert.ok(of("hazel") < of("oak"), "hazel is booked at ten");
});

test("no room, an unknown room, or one not looked up at the hour asked earns nothing", () => {
  for (const answer of ["", "atlantis", "cedar or oak"]) {
    assert.equal(grade(task, { lookedUpHour: 10, answer }), 0);
  }
  for (const lookedUpHour of [null, 9, 11]) {
    assert.equal(grade(task, { lookedUpHour, answer: "cedar" }), 0);
  }
});

test("a grade is from 0 to 1, and for every task some answer earns 1", () => {
  const { train } = generateTasks(3, 400, 0);
  fc.assert(
    fc.property(
      fc.constantFrom(...train),
      fc.constantFrom(...rooms),
      fc.constantFrom(null, ...hours),
      (each, room, lookedUpHour) => {
        const reward = grade(each, { lookedUpHour, answer: room.id });
        assert.ok(reward >= 0 && reward <= 1);
        const best = rooms.map(({ id }) => grade(each, { lookedUpHour: each.hour, answer: id }));
        assert.equal(best.filter((one) => one === 1).length, 1);
      },
    ),
  );
});

test("always the same room earns less than half: a policy must read the request", () => {
  const { train } = generateTasks(1, 10_000, 0);
  for (const { id } of rooms) {
    const rewards = train.map((each) => grade(each, { lookedUpHour: each.hour, answer: id }));
    assert.ok(rewards.reduce((sum, r) => sum + r, 0) / rewards.length < 0.5, id);
  }
});
