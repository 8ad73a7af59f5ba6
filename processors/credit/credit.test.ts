import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "../../schemas/errors.ts";
import {
  advantagesOf,
  assign,
  firstsOf,
  isNear,
  member,
  step,
  terminal,
  tokens,
} from "./fixtures.ts";
import { strategies, strategyOf } from "./registry.ts";
import type { Member } from "./strategy.ts";

const reward = fc.double({ min: -100, max: 100, noNaN: true }).map((value) => value + 0);

const anyStep = fc
  .record({
    span: fc.nat(3),
    agent: fc.constantFrom("", "writer", "critic"),
    state_id: fc.option(fc.constantFrom("a", "b")),
    potential: fc.option(fc.double()),
    reward: fc.option(reward),
    prompt: fc.array(fc.nat(2), { maxLength: 4 }),
    response: fc.array(fc.nat(2), { maxLength: 4 }),
  })
  .map(({ span, prompt, response, ...fields }) =>
    step(`s${span}`, { ...fields, ...tokens(prompt, response) }),
  );
const anyMember: fc.Arbitrary<Member> = fc
  .record({
    reward,
    steps: fc.array(anyStep, { maxLength: 5 }),
    rollout_id: fc.string(),
    metadata: fc.constantFrom("{}", "no JSON", '{"counterfactual":{"without":"critic"}}', "[]"),
  })
  .map(({ reward: final, steps, ...fields }) => member(final, steps, fields));

/** Members with a reward of their own and 1 to 5 steps without one. */
const anyGroup = fc.array(
  fc
    .record({ final: reward, steps: fc.integer({ min: 1, max: 5 }) })
    .map(({ final, steps }) => member(final, new Array<null>(steps).fill(null))),
  { minLength: 2, maxLength: 12 },
);

function near(actual: number, expected: number, scale = 1): void {
  assert.ok(isNear(actual, expected, scale), `${actual} is not ${expected}`);
}

const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

test("final-reward gives every step the final reward", () => {
  assert.deepEqual(assign("final-reward", terminal(0.5)), [
    { returns: [0.5, 0.5, 0.5], advantages: [0.5, 0.5, 0.5] },
  ]);
});

test("group-relative follows verl: sample deviation, epsilon, a group of one compared with nobody", () => {
  near(firstsOf("group-relative", terminal(0, 1))[1] ?? 0, 0.5 / (Math.SQRT1_2 + 1e-6));
  near(firstsOf("group-relative", terminal(3))[0] ?? 0, 3 / (1 + 1e-6));
  assert.deepEqual(firstsOf("group-relative", terminal(0, 1), { std: 0 }), [-0.5, 0.5]);
});

test("equal rewards give advantages of exactly 0", () => {
  for (const epsilon of [0, 1e-6]) {
    const equal = terminal(0.1, 0.1, 0.1);
    assert.deepEqual(firstsOf("group-relative", equal, { epsilon }), [0, 0, 0]);
  }
  for (const strategy of ["leave-one-out", "global-normalised", "multi-turn", "tree"]) {
    assert.deepEqual(firstsOf(strategy, terminal(0.1, 0.1, 0.1)), [0, 0, 0], strategy);
  }
});

test("group-relative over steps counts a long rollout as often as it has steps", () => {
  const group = [member(1, [null]), member(0, [null, null, null])];
  const options = { level: "step" };
  const advantages = advantagesOf("group-relative", group, { std: 0 }, options);
  assert.deepEqual(advantages, [[0.75], [-0.25, -0.25, -0.25]]);
  assert.deepEqual(firstsOf("group-relative", group, { std: 0 }), [0.5, -0.5]);
});

test("leave-one-out compares with the mean of the others", () => {
  assert.deepEqual(firstsOf("leave-one-out", terminal(1, 0, 0.5)), [0.75, -0.75, 0]);
  assert.deepEqual(firstsOf("leave-one-out", terminal(2)), [2]);
});

for (const [strategy, options] of [
  ["group-relative", {}],
  ["leave-one-out", {}],
  ["global-normalised", {}],
  ["global-normalised", { baseline: "prompt" }],
] as const) {
  test(`advantages over the rollouts of a group sum to 0: ${strategy} ${JSON.stringify(options)}`, () => {
    fc.assert(
      fc.property(anyGroup, (group) => {
        near(sumOf(firstsOf(strategy, group, {}, options)), 0, 1e3);
      }),
    );
  });
}

for (const strategy of ["group-relative", "global-normalised"]) {
  test(`advantages over the steps of a group sum to 0 when steps are counted: ${strategy}`, () => {
    fc.assert(
      fc.property(anyGroup, (group) => {
        near(sumOf(advantagesOf(strategy, group, {}, { level: "step" }).flat()), 0, 1e4);
      }),
    );
  });
}

test("leave-one-out is K/(K-1) times group-relative without deviation", () => {
  fc.assert(
    fc.property(anyGroup, (group) => {
      const plain = firstsOf("group-relative", group, { std: 0 });
      const k = group.length;
      for (const [i, advantage] of firstsOf("leave-one-out", group).entries()) {
        near(advantage, (k / (k - 1)) * (plain[i] ?? 0), 100);
      }
    }),
  );
});

test("global-normalised with a baseline takes away the mean of the prompt, then the batch's spread", () => {
  const of = (prompt: string, final: number) =>
    member(final, [null], { metadata: `{"task":"${prompt}"}` });
  const batch = [of("easy", 1), of("easy", 0.8), of("hard", 0.2), of("hard", 0)];
  const options = { baseline: "prompt", prompt_key: "task" };
  const [a, b, c, d] = firstsOf("global-normalised", batch, { std: 0 }, options);
  for (const [read, expected] of [
    [a, 0.1],
    [b, -0.1],
    [c, 0.1],
    [d, -0.1],
  ] as const) {
    near(read ?? Number.NaN, expected);
  }
  const without = firstsOf("global-normalised", batch, { std: 0 }, { prompt_key: "task" });
  near(without[0] ?? 0, 0.5);
});

test("global-normalised takes rollouts whose first call saw the same for one prompt", () => {
  const seen = (messages: string, final: number) => member(final, [step("s", { messages })]);
  const batch = [seen("a", 1), seen("a", 0), seen("b", 5)];
  const options = { baseline: "prompt" };
  const advantages = firstsOf("global-normalised", batch, { std: 0 }, options);
  // Centred by prompt: 0.5, -0.5, and 5, which has no other rollout; their mean is 5/3.
  near(advantages[0] ?? 0, 0.5 - 5 / 3);
  near(advantages[2] ?? 0, 5 - 5 / 3);
});

test("global-normalised without a baseline is group-relative: the batch is the group", () => {
  fc.assert(
    fc.property(anyGroup, fc.constantFrom("rollout", "step"), (group, level) => {
      const options = { level };
      assert.deepEqual(
        assign("global-normalised", group, {}, options),
        assign("group-relative", group, {}, options),
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
          assert.equal(returns.length, group[i]?.steps.length);
          assert.equal(advantages.length, returns.length);
          assert.ok([...returns, ...advantages].every(Number.isFinite), strategy);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("no strategy depends on the order of the members", () => {
  fc.assert(
    fc.property(
      fc.array(anyMember, { maxLength: 6 }),
      fc.constantFrom(...strategies.map(({ name }) => name)),
      (group, strategy) => {
        const back = advantagesOf(strategy, group.toReversed()).toReversed().flat();
        for (const [k, advantage] of advantagesOf(strategy, group).flat().entries()) {
          // Equal but for the order of sums: a deviation of 0 or of one rounding error divides by ε.
          near(back[k] ?? Number.NaN, advantage, 1e6);
        }
      },
    ),
  );
});

for (const [name, credit, message] of [
  ["grpo", {}, /credit.strategy: read grpo, allowed are final-reward, discounted/],
  [
    "discounted",
    { parameters: { lambda: 1 } },
    /credit.parameters.lambda: discounted has no such one, only gamma/,
  ],
  ["discounted", { parameters: { gamma: 1.5 } }, /gamma: read 1.5, allowed is 0 to 1/],
  ["discounted", { parameters: { gamma: Number.NaN } }, /gamma: read NaN/],
  [
    "final-reward",
    { parameters: { constructor: 1 } },
    /constructor: final-reward has no such one, only none/,
  ],
  [
    "group-relative",
    { options: { levle: "step" } },
    /credit.options.levle: group-relative has no such one, only equal_rewards, failed, level/,
  ],
  [
    "group-relative",
    { options: { level: "token" } },
    /credit.options.level: read token, allowed are rollout, step/,
  ],
  ["final-reward", { options: { toString: "x" } }, /options.toString: final-reward has no such/],
  [
    "global-normalised",
    { options: { prompt_key: "x".repeat(1001) } },
    /prompt_key: read 1001 characters, allowed are 1000/,
  ],
  [
    "external",
    { options: { fallback: "external" } },
    /credit.options.fallback: read external, allowed are final-reward/,
  ],
  ["external", { parameters: { gamma: 1 } }, /gamma: external has no such one, only std/],
] as const) {
  test(`${name} with ${JSON.stringify(credit).slice(0, 60)} is refused, saying what is allowed`, () => {
    const ask = () => strategyOf({ strategy: name, parameters: {}, options: {}, ...credit });
    assert.throws(
      ask,
      (error: Error) => message.test(error.message) && codeOf(error) === "record-invalid",
    );
  });
}

test("an external strategy takes what its fallback takes", () => {
  const given = { parameters: { gamma: 0.5 }, options: { fallback: "discounted" } };
  assert.equal(strategyOf({ strategy: "external", ...given }).parameters.gamma, 0.5);
  const group = [member(0, [1, 2])];
  assert.deepEqual(
    assign("external", group, given.parameters, given.options),
    assign("discounted", group, given.parameters),
  );
});
