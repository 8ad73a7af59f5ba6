import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { advantagesOf, assign, firstsOf, isNear, member, step, tokens } from "./fixtures.ts";

const reward = fc.double({ min: -100, max: 100, noNaN: true }).map((value) => value + 0);
const by = (agent: string, span: string, given: number | null = null) =>
  step(span, { agent, policy: `${agent} policy`, reward: given });

test("role-groups compares a role's own rewards with those of the same role", () => {
  const group = [
    member(9, [by("writer", "a", 1), by("critic", "b", 10), by("writer", "c", 1)]),
    member(9, [by("writer", "d", 0), by("critic", "e", 20)]),
  ];
  for (const options of [{}, { by: "policy" }]) {
    assert.deepEqual(assign("role-groups", group, { std: 0 }, options), [
      { returns: [2, 10, 2], advantages: [1, -5, 1] },
      { returns: [0, 20], advantages: [-1, 5] },
    ]);
  }
});

test("role-groups takes the final reward for a role that has none of its own, and on request", () => {
  const group = [
    member(1, [by("writer", "a", 5), by("critic", "b")]),
    member(0, [by("writer", "c"), by("critic", "d")]),
  ];
  assert.deepEqual(advantagesOf("role-groups", group, { std: 0 }), [
    [2.5, 0.5],
    [-2.5, -0.5],
  ]);
  assert.deepEqual(advantagesOf("role-groups", group, { std: 0 }, { reward: "final" }), [
    [0.5, 0.5],
    [-0.5, -0.5],
  ]);
});

test("in role-groups a role that acted in one of several rollouts is compared with nobody", () => {
  const group = [member(7, [by("writer", "a"), by("helper", "b")]), member(5, [by("writer", "c")])];
  assert.deepEqual(advantagesOf("role-groups", group, { std: 0 }), [[1, 0], [-1]]);
  const alone = [member(7, [by("writer", "a")])];
  assert.deepEqual(advantagesOf("role-groups", alone, { std: 0 }), [[7]]);
});

test("role-groups with one role and no step rewards is group-relative", () => {
  fc.assert(
    fc.property(fc.array(reward, { minLength: 1, maxLength: 6 }), (rewards) => {
      const group = rewards.map((final, i) => member(final, [by("a", `x${i}`), by("a", `y${i}`)]));
      assert.deepEqual(assign("role-groups", group), assign("group-relative", group));
    }),
  );
});

test("difference-reward compares an agent with the rollouts that did without it, which train nothing", () => {
  const without = { metadata: '{"counterfactual":{"without":"critic"}}' };
  const group = [
    member(1, [by("writer", "a"), by("critic", "b")]),
    member(0.5, [by("writer", "c"), by("critic", "d")]),
    member(0.25, [by("writer", "e")], without),
  ];
  const assigned = assign("difference-reward", group);
  assert.deepEqual(
    assigned.map(({ advantages }) => advantages),
    [[0.25, 0.75], [-0.25, 0.25], [0]],
  );
  assert.deepEqual(
    assigned.map(({ withheld }) => withheld?.reason),
    [undefined, undefined, "counterfactual"],
  );
  assert.match(assigned[2]?.withheld?.detail ?? "", /metadata.counterfactual: .* without critic/);
});

test("difference-reward without counterfactuals is group-relative without deviation", () => {
  fc.assert(
    fc.property(fc.array(reward, { minLength: 1, maxLength: 6 }), (rewards) => {
      const group = rewards.map((final, i) => member(final, [by("a", `x${i}`)]));
      assert.deepEqual(
        assign("difference-reward", group),
        assign("group-relative", group, { std: 0, epsilon: 0 }),
      );
    }),
  );
});

/** A rollout of one growing context: the prompt, then action and observation by turns. */
function chain(
  final: number,
  prompt: readonly number[],
  ...turns: (readonly [number[], number[]])[]
) {
  let context = [...prompt];
  const steps = turns.map(([action, observation], t) => {
    const of = step(`s${t}`, tokens(context, action));
    context = [...context, ...action, ...observation];
    return of;
  });
  return member(final, steps);
}

test("tree: an action is worth what the rollouts behind it got more than those at its state", () => {
  const group = [
    chain(1, [1], [[10], [5]], [[20], []]),
    chain(0, [1], [[10], [5]], [[21], []]),
    chain(0, [1], [[11], [5]], [[22], []]),
  ];
  const mean = 1 / 3;
  const expected = [
    [0.5 - mean, 1 - 0.5],
    [0.5 - mean, 0 - 0.5],
    [0 - mean, 0 - mean],
  ];
  const advantages = advantagesOf("tree", group);
  for (const [i, row] of expected.entries()) {
    for (const [t, value] of row.entries()) {
      assert.ok(isNear(advantages[i]?.[t] ?? Number.NaN, value), `rollout ${i} step ${t}`);
    }
  }
});

test("tree: what the environment answered is nobody's merit", () => {
  const group = [
    chain(1, [1], [[10], [5]], [[20], []]),
    chain(0, [1], [[10], [6]], [[20], []]),
    chain(0, [2], [[10], [6]], [[20], []]),
  ];
  const [lucky, unlucky] = advantagesOf("tree", group);
  assert.deepEqual([lucky?.[0], unlucky?.[0]], [0.5 - 1 / 3, 0.5 - 1 / 3]);
  // Behind the answer their stretches differ by it, and no further action can be told apart.
  assert.deepEqual([lucky?.[1], unlucky?.[1]], [0.5, -0.5]);
});

/** A tree of single-token actions, depth by depth; every path ends in its own last token. */
const anyPaths = fc.array(fc.tuple(reward, fc.array(fc.nat(1), { minLength: 1, maxLength: 4 })), {
  minLength: 2,
  maxLength: 10,
});

test("tree: the stretches of a rollout sum to its reward less the mean", () => {
  fc.assert(
    fc.property(anyPaths, (paths) => {
      const rewards = paths.map(([final]) => final);
      const mean = rewards.reduce((sum, value) => sum + value, 0) / rewards.length;
      const group = paths.map(([final, path], i) =>
        chain(
          final,
          [],
          ...[...path, 100 + i]
            .map((token) => [[token], []] as const)
            .map(([action]) => [[...action], []] as [number[], number[]]),
        ),
      );
      for (const [i, advantages] of advantagesOf("tree", group).entries()) {
        // Steps of one stretch share their advantage: it counts where others leave the path.
        const path = paths[i]?.[1] ?? [];
        let sum = 0;
        let before = paths.length;
        for (const [t, advantage] of advantages.entries()) {
          const through = t < path.length ? sharing(paths, path.slice(0, t + 1)) : 1;
          if (through < before) sum += advantage;
          before = through;
        }
        assert.ok(isNear(sum, (rewards[i] ?? 0) - mean, 1e3), `${sum}`);
      }
    }),
  );
});

function sharing(
  paths: readonly (readonly [number, number[]])[],
  prefix: readonly number[],
): number {
  return paths.filter(([, path]) => prefix.every((token, t) => path[t] === token)).length;
}

test("tree without a branching behind the first prompt is group-relative without deviation", () => {
  fc.assert(
    fc.property(fc.array(reward, { minLength: 1, maxLength: 8 }), (rewards) => {
      const group = rewards.map((final, i) =>
        chain(final, [1, 2, 3], [[10 + i, 4], [5]], [[6], [7]], [[8], []]),
      );
      const plain = firstsOf("group-relative", group, { std: 0, epsilon: 0 });
      for (const [i, advantages] of advantagesOf("tree", group).entries()) {
        assert.ok(advantages.every((value) => isNear(value, plain[i] ?? 0, 100)));
      }
    }),
  );
});

test("tree compares steps without token ids with the group", () => {
  const group = [member(1, [step("a")]), member(0, [step("b")])];
  assert.deepEqual(advantagesOf("tree", group), [[0.5], [-0.5]]);
});

test("tree agrees with counting shared prefixes one by one", () => {
  const ids = fc.array(fc.nat(1), { maxLength: 4 });
  const rollout = fc.tuple(fc.nat(9), fc.array(fc.tuple(ids, ids), { minLength: 1, maxLength: 3 }));
  fc.assert(
    fc.property(fc.array(rollout, { minLength: 2, maxLength: 6 }), (rollouts) => {
      const group = rollouts.map(([final, steps], i) =>
        member(
          final,
          steps.map(([prompt, response], t) => step(`s${i} ${t}`, tokens(prompt, response))),
        ),
      );
      const read = advantagesOf("tree", group);
      for (const [i, [final, steps]] of rollouts.entries()) {
        for (const [t, [prompt, response]] of steps.entries()) {
          const expected = countedAdvantage(rollouts, final, prompt, response);
          assert.ok(isNear(read[i]?.[t] ?? Number.NaN, expected, 10), `${i} ${t}`);
        }
      }
    }),
    { numRuns: 500 },
  );
});

type Counted = readonly [number, readonly (readonly [readonly number[], readonly number[]])[]];

function countedAdvantage(
  rollouts: readonly Counted[],
  final: number,
  prompt: readonly number[],
  response: readonly number[],
): number {
  const tokensOfStep = [...prompt, ...response];
  const rewardsAt = (length: number) =>
    rollouts.flatMap(([reward, steps]) =>
      length === 0 || steps.some((one) => startsWith(one.flat(), tokensOfStep.slice(0, length)))
        ? [reward]
        : [],
    );
  const mean = (rewards: readonly number[]) =>
    rewards.reduce((sum, value) => sum + value, 0) / rewards.length;
  if (tokensOfStep.length === 0) return final - mean(rewardsAt(0));
  const child = rewardsAt(tokensOfStep.length);
  for (let length = prompt.length; length >= 0; length--) {
    const shared = rewardsAt(length);
    if (shared.length > child.length) return mean(child) - mean(shared);
  }
  return 0;
}

function startsWith(sequence: readonly number[], prefix: readonly number[]): boolean {
  return prefix.every((token, i) => sequence[i] === token);
}
