import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { advantagesOf, assign, firstsOf, isNear, member, step, terminal } from "./fixtures.ts";
import type { Member } from "./strategy.ts";

const reward = fc.double({ min: -100, max: 100, noNaN: true }).map((value) => value + 0);
const anyMember = fc
  .record({ final: reward, steps: fc.array(fc.option(reward), { minLength: 1, maxLength: 6 }) })
  .map(({ final, steps }) => member(final, steps));
const anyGroup = fc.array(anyMember, { minLength: 2, maxLength: 6 });

function near(actual: readonly number[], expected: readonly number[], scale = 1): void {
  const same = actual.length === expected.length;
  const close = actual.every((value, i) => isNear(value, expected[i] ?? Number.NaN, scale));
  assert.ok(same && close, `${actual} is not ${expected}`);
}

const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

/** Two choices of one call between two calls of one choice. */
const chosen = (first: number | null, second: number | null): Member =>
  member(0, [
    step("a"),
    step("b", { reward: first }),
    step("b", { reward: second, choice: 1 }),
    step("c", { reward: 4 }),
  ]);

test("discounted returns decay towards the start, and the final reward stands in for missing ones", () => {
  const matched = [member(9, [1, null, 4])];
  assert.deepEqual(assign("discounted", matched, { gamma: 0.5 })[0]?.returns, [2, 2, 4]);
  const unmatched = [member(4, [null, null])];
  assert.deepEqual(assign("discounted", unmatched, { gamma: 0 })[0]?.returns, [0, 4]);
});

test("discounted with a baseline compares the returns of all steps of the group, which sum to 0", () => {
  const group = [member(0, [1, 3]), member(0, [null, 4])];
  const options = { baseline: "group" };
  const advantages = advantagesOf("discounted", group, { gamma: 0.5, std: 0 }, options);
  assert.deepEqual(advantages, [
    [-0.375, 0.125],
    [-0.875, 1.125],
  ]);
  fc.assert(
    fc.property(anyGroup, (any) => {
      near([sumOf(advantagesOf("discounted", any, {}, options).flat())], [0], 1e4);
    }),
  );
});

test("discounted with gamma 1 and a terminal reward is final-reward", () => {
  fc.assert(
    fc.property(fc.array(reward, { minLength: 1 }), (rewards) => {
      const members = terminal(...rewards);
      assert.deepEqual(
        assign("discounted", members, { gamma: 1 }),
        assign("final-reward", members),
      );
    }),
  );
});

test("the choices of a call are alternatives of one turn: each counts its own reward, none the others'", () => {
  assert.deepEqual(advantagesOf("discounted", [chosen(1, 3)], { gamma: 0.5 }), [[2, 3, 5, 4]]);
  assert.deepEqual(advantagesOf("discounted", [chosen(2, null)], { gamma: 1 }), [[6, 6, 6, 4]]);
  assert.deepEqual(advantagesOf("turn-reward", [chosen(1, 3)]), [[0, 1, 3, 4]]);
  assert.deepEqual(
    advantagesOf("decayed", [{ ...chosen(1, 3), reward: 8 }], { gamma: 0.5, std: 0 }),
    [[2, 4, 4, 8]],
  );
});

test("decayed fades the group's advantage, or the reward, towards the start", () => {
  const group = [member(1, [null, null, null]), member(0, [null])];
  const relative = advantagesOf("decayed", group, { gamma: 0.5, std: 0 });
  assert.deepEqual(relative, [[0.125, 0.25, 0.5], [-0.5]]);
  const plain = advantagesOf("decayed", group, { gamma: 0.5 }, { baseline: "none" });
  assert.deepEqual(plain, [[0.25, 0.5, 1], [0]]);
});

test("decayed with gamma 1 is group-relative, or final-reward without a baseline", () => {
  fc.assert(
    fc.property(anyGroup, (group) => {
      const one = { gamma: 1 };
      assert.deepEqual(assign("decayed", group, one), assign("group-relative", group));
      const plain = assign("decayed", group, one, { baseline: "none" });
      assert.deepEqual(plain, assign("final-reward", group));
    }),
  );
});

test("turn-reward gives each step its own reward, and is discounted with gamma 0", () => {
  assert.deepEqual(advantagesOf("turn-reward", [member(9, [1, null, 4])]), [[1, 0, 4]]);
  const final = { missing: "final" };
  assert.deepEqual(advantagesOf("turn-reward", [member(9, [1, null, 4])], {}, final), [[1, 9, 4]]);
  fc.assert(
    fc.property(anyGroup, (group) => {
      assert.deepEqual(assign("turn-reward", group), assign("discounted", group, { gamma: 0 }));
    }),
  );
});

test("turn-reward with a baseline compares turns of one number, which then sum to 0", () => {
  const group = [member(0, [1, 5, 7]), member(0, [0, 3])];
  const turn = { baseline: "turn" };
  assert.deepEqual(advantagesOf("turn-reward", group, { std: 0 }, turn), [
    [0.5, 1, 0],
    [-0.5, -1],
  ]);
});

test("multi-turn adds the turn's own advantage to the weighted outcome in all turns but the last", () => {
  const group = [member(1, [1, null, null]), member(0, [0, 1, null])];
  assert.deepEqual(advantagesOf("multi-turn", group, { std: 0, lambda: 0.5 }), [
    [0.5 + 0.25, -0.5 + 0.25, 0.5],
    [-0.5 - 0.25, 0.5 - 0.25, -0.5],
  ]);
});

test("in multi-turn a turn only one rollout reached is compared with nobody", () => {
  const group = [member(1, [1, 9, 2]), member(0, [0, 5])];
  assert.deepEqual(advantagesOf("multi-turn", group, { std: 0 }), [
    [0.5 + 0.5, 0.5, 0.5],
    [-0.5 - 0.5, -0.5],
  ]);
});

test("multi-turn with lambda 1 and no turn rewards is group-relative", () => {
  const unrewarded = fc.array(
    fc
      .record({ final: reward, steps: fc.integer({ min: 1, max: 5 }) })
      .map(({ final, steps }) => member(final, new Array<null>(steps).fill(null))),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(
    fc.property(unrewarded, (group) => {
      assert.deepEqual(assign("multi-turn", group, { lambda: 1 }), assign("group-relative", group));
    }),
  );
});

test("potential-shaping: shaped rewards sum up to the return less the potential of the first state", () => {
  const group = [
    member(0, [
      step("a", { potential: 0.5 }),
      step("b", { potential: 2, reward: 1 }),
      step("c", { reward: 4 }),
    ]),
  ];
  const [whole] = assign("potential-shaping", group, { gamma: 0.5 });
  assert.deepEqual(whole, { returns: [1, 1, 4], advantages: [1, 1, 4] });
  // λ = 0: r'_t itself: 0 + 0.5·2 − 0.5, 1 + 0.5·0 − 2, 4.
  const [single] = advantagesOf("potential-shaping", group, { gamma: 0.5, lambda: 0 });
  assert.deepEqual(single, [0.5, -1, 4]);
});

test("potential-shaping estimates with lambda just below 1 approach those of lambda 1", () => {
  const potentials = fc.array(fc.double({ min: -10, max: 10, noNaN: true }), {
    minLength: 6,
    maxLength: 6,
  });
  fc.assert(
    fc.property(anyMember, potentials, (plain, given) => {
      const steps = plain.steps.map((one, i) => ({ ...one, potential: given[i] ?? 0 }));
      const group = [{ ...plain, steps }];
      const [limit] = advantagesOf("potential-shaping", group, { lambda: 1 - 1e-13 });
      const [whole] = advantagesOf("potential-shaping", group, { lambda: 1 });
      near(limit ?? [], whole ?? [], 1e3);
    }),
  );
});

test("potential-shaping without potentials is discounted, and ignores one that is no number", () => {
  fc.assert(
    fc.property(anyGroup, (group) => {
      const shaped = group.map((one) => ({
        ...one,
        steps: one.steps.map((of) => ({ ...of, potential: Number.NaN })),
      }));
      assert.deepEqual(assign("potential-shaping", shaped), assign("discounted", group));
    }),
  );
});

test("step-groups compares the returns of steps that acted in the same state", () => {
  const at = (span: string, state_id: string, given: number | null) =>
    step(span, { state_id, reward: given });
  const group = [
    member(1, [at("a", "start", null), at("b", "left", 1)]),
    member(0, [at("c", "start", null), at("d", "right", 0)]),
  ];
  const parameters = { gamma: 0.5, std: 0, omega: 2 };
  assert.deepEqual(advantagesOf("step-groups", group, parameters), [
    [0.5 + 2 * 0.25, 0.5],
    [-0.5 - 2 * 0.25, -0.5],
  ]);
});

test("step-groups knows a state by what the agent saw, or by its last message alone", () => {
  const saw = (span: string, given: number, ...contents: string[]) =>
    step(span, {
      messages: JSON.stringify(contents.map((content) => ({ content }))),
      reward: given,
    });
  const group = [member(0, [saw("a", 1, "x", "here")]), member(0, [saw("b", 0, "y", "here")])];
  const parameters = { std: 0 };
  assert.deepEqual(firstsOf("step-groups", group, parameters), [0, 0]);
  const observed = firstsOf("step-groups", group, parameters, { anchor: "observation" });
  assert.deepEqual(observed, [0.5, -0.5]);
  const agents = group.map((one, i) => ({
    ...one,
    steps: one.steps.map((of) => ({ ...of, agent: `agent ${i}` })),
  }));
  const apart = firstsOf("step-groups", agents, parameters, { anchor: "observation" });
  assert.deepEqual(apart, [0, 0], "two agents act in no common state");
});

test("step-groups with all states distinct, or omega 0, is group-relative", () => {
  fc.assert(
    fc.property(anyGroup, (group) => {
      const distinct = group.map((one, i) => ({
        ...one,
        steps: one.steps.map((of, t) => ({ ...of, messages: `[${i},${t}]` })),
      }));
      const episodes = advantagesOf("group-relative", group);
      assert.deepEqual(advantagesOf("step-groups", distinct), episodes);
      assert.deepEqual(advantagesOf("step-groups", group, { omega: 0 }), episodes);
    }),
  );
});

test("in step-groups the step advantages of a state sum to 0", () => {
  fc.assert(
    fc.property(anyGroup, (group) => {
      const one = group.map((of) => ({
        ...of,
        reward: 0,
        steps: of.steps.map((given) => ({ ...given, state_id: "here", reward: given.reward ?? 0 })),
      }));
      near([sumOf(advantagesOf("step-groups", one).flat())], [0], 1e4);
    }),
  );
});
