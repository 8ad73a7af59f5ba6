import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "../../schemas/errors.ts";
import { strategies, strategyOf } from "./registry.ts";
import type { Assigned, Member } from "./strategy.ts";

function assign(
  strategy: string,
  members: readonly Member[],
  parameters: Record<string, number> = {},
): readonly Assigned[] {
  const chosen = strategyOf({ strategy, parameters });
  return chosen.strategy.assign(members, chosen.parameters);
}

/** Members of so many steps whose only reward is the final one, matched to the last step. */
function terminal(...rewards: readonly number[]): Member[] {
  return rewards.map((reward) => ({ reward, stepRewards: [null, null, reward] }));
}

const reward = fc.double({ min: -100, max: 100, noNaN: true }).map((value) => value + 0);
const anyMember: fc.Arbitrary<Member> = fc.record({
  reward,
  stepRewards: fc.array(fc.option(reward), { minLength: 1, maxLength: 5 }),
});
const anyGroup = fc.array(anyMember, { minLength: 2, maxLength: 12 });
const firsts = (assigned: readonly Assigned[]) =>
  assigned.map(({ advantages }) => advantages[0] ?? 0);

function near(actual: number, expected: number, scale = 1): void {
  const slack = 1e-9 * Math.max(1, scale);
  assert.ok(Math.abs(actual - expected) <= slack, `${actual} is not ${expected}`);
}

test("final-reward gives every step the final reward", () => {
  assert.deepEqual(assign("final-reward", terminal(0.5)), [
    { returns: [0.5, 0.5, 0.5], advantages: [0.5, 0.5, 0.5] },
  ]);
});

test("discounted returns decay towards the start, and the final reward stands in for missing ones", () => {
  const matched = [{ reward: 9, stepRewards: [1, null, 4] }];
  assert.deepEqual(assign("discounted", matched, { gamma: 0.5 })[0]?.returns, [2, 2, 4]);
  const unmatched = [{ reward: 4, stepRewards: [null, null] }];
  assert.deepEqual(assign("discounted", unmatched, { gamma: 0 })[0]?.returns, [0, 4]);
});

test("group-relative follows verl: sample deviation, epsilon, a group of one compared with nobody", () => {
  near(firsts(assign("group-relative", terminal(0, 1)))[1] ?? 0, 0.5 / (Math.SQRT1_2 + 1e-6));
  near(firsts(assign("group-relative", terminal(3)))[0] ?? 0, 3 / (1 + 1e-6));
  assert.deepEqual(firsts(assign("group-relative", terminal(0, 1), { std: 0 })), [-0.5, 0.5]);
});

test("equal rewards give advantages of exactly 0", () => {
  for (const epsilon of [0, 1e-6]) {
    const equal = assign("group-relative", terminal(0.1, 0.1, 0.1), { epsilon });
    assert.deepEqual(firsts(equal), [0, 0, 0]);
  }
});

test("leave-one-out compares with the mean of the others", () => {
  assert.deepEqual(firsts(assign("leave-one-out", terminal(1, 0, 0.5))), [0.75, -0.75, 0]);
  assert.deepEqual(firsts(assign("leave-one-out", terminal(2))), [2]);
});

test("advantages over a group sum to zero with group-relative and leave-one-out", () => {
  fc.assert(
    fc.property(anyGroup, fc.constantFrom("group-relative", "leave-one-out"), (group, strategy) => {
      near(
        firsts(assign(strategy, group)).reduce((sum, a) => sum + a, 0),
        0,
        1e3,
      );
    }),
  );
});

test("leave-one-out is K/(K-1) times group-relative without deviation", () => {
  fc.assert(
    fc.property(anyGroup, (group) => {
      const plain = firsts(assign("group-relative", group, { std: 0 }));
      const k = group.length;
      for (const [i, advantage] of firsts(assign("leave-one-out", group)).entries()) {
        near(advantage, (k / (k - 1)) * (plain[i] ?? 0), 100);
      }
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

test("every strategy gives one finite return and advantage per step, whatever the others do", () => {
  fc.assert(
    fc.property(
      fc.array(anyMember, { maxLength: 6 }),
      fc.constantFrom(...strategies.map(({ name }) => name)),
      (group, strategy) => {
        const assigned = assign(strategy, group);
        assert.equal(assigned.length, group.length);
        for (const [i, { returns, advantages }] of assigned.entries()) {
          assert.equal(returns.length, group[i]?.stepRewards.length);
          assert.equal(advantages.length, returns.length);
          assert.ok([...returns, ...advantages].every(Number.isFinite));
        }
      },
    ),
  );
});

for (const [name, parameters, message] of [
  ["grpo", {}, /credit.strategy: read grpo, allowed are final-reward, discounted/],
  ["discounted", { lambda: 1 }, /credit.parameters.lambda: discounted has no such one, only gamma/],
  ["discounted", { gamma: 1.5 }, /credit.parameters.gamma: read 1.5, allowed is 0 to 1/],
  ["discounted", { gamma: Number.NaN }, /gamma: read NaN/],
  ["final-reward", { constructor: 1 }, /constructor: final-reward has no such one, only none/],
] as const) {
  test(`${name} with ${JSON.stringify(parameters)} is refused, saying what is allowed`, () => {
    const ask = () => strategyOf({ strategy: name, parameters: { ...parameters } });
    assert.throws(
      ask,
      (error: Error) => message.test(error.message) && codeOf(error) === "record-invalid",
    );
  });
}
