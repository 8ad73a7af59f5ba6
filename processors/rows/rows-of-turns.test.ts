import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rolloutOf, turn } from "./fixtures.ts";
import { type RowOptions, rowsOfTurns } from "./rows-of-turns.ts";
import type { TrainingRow, Turn } from "./turn.ts";

const trajectory = { level: "trajectory" } as const;

/** Prompt, response, mask and turns of a row, to compare. */
function shown({ prompt_ids, response_ids, response_mask, turn_indexes }: TrainingRow): unknown[] {
  return [[...prompt_ids], [...response_ids], [...response_mask], [...turn_indexes]];
}

function rowsOf(turns: readonly Turn[], options: Partial<RowOptions> = {}): unknown[] {
  return rowsOfTurns([rolloutOf(turns)], { ...trajectory, ...options }).rows.map(shown);
}

const chain = (first: number, turns: number): Turn[] => {
  let context = [first];
  return Array.from({ length: turns }, (_, i) => {
    const made = turn(context, [100 + i]);
    context = [...context, 100 + i, 200 + i];
    return made;
  });
};

/** Chains that begin differently, woven together in some order. */
const woven = fc
  .array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 })
  .chain((lengths) =>
    fc.record({
      chains: fc.constant(lengths.map((length, i) => chain(i + 1, length))),
      order: fc.shuffledSubarray(
        lengths.flatMap((length, i) => new Array<number>(length).fill(i)),
        { minLength: lengths.reduce((a, b) => a + b, 0) },
      ),
    }),
  );

test("sub-agents whose calls interleave give the rows each of them gives alone", () => {
  const check = ({ chains, order }: { chains: Turn[][]; order: number[] }): void => {
    const queues = chains.map((turns) => [...turns]);
    const turns = order.flatMap((i) => queues[i]?.shift() ?? []);
    const tokens = (row: unknown): string => JSON.stringify((row as unknown[]).slice(0, 3));
    const alone = chains.flatMap((one) => rowsOf(one)).map(tokens);
    assert.deepEqual(rowsOf(turns).map(tokens).sort(), alone.sort());
  };
  fc.assert(fc.property(woven, check), { numRuns: 300 });
});

test("with one open context, as the reference has it, interleaving breaks every merge", () => {
  const [a = turn([], []), a2 = a] = chain(1, 2);
  const [b = a, b2 = a] = chain(2, 2);
  assert.equal(rowsOf([a, b, a2, b2]).length, 2);
  assert.equal(rowsOf([a, b, a2, b2], { several: false }).length, 4);
});

const anyTurns = fc
  .array(
    fc.record({
      goOn: fc.boolean(),
      fresh: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }),
      said: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((drawn) => {
    let context: number[] = [];
    return drawn.map(({ goOn, fresh, said }) => {
      const prompt = [...(goOn ? context : []), ...fresh];
      context = [...prompt, ...said];
      return turn(
        prompt,
        said,
        said.map((id) => -id / 8),
      );
    });
  });

test("every turn is in one row, its tokens and log-probs where the mask says, and the row is what its last turn saw", () => {
  const check = (turns: readonly Turn[], several: boolean): void => {
    const { rows } = rowsOfTurns([rolloutOf(turns)], { ...trajectory, several });
    const seen = rows.flatMap(({ turn_indexes }) => turn_indexes);
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      [...turns.keys()],
    );
    for (const row of rows) {
      const last = turns[row.turn_indexes.at(-1) ?? -1];
      const whole = [...(last?.prompt_ids ?? []), ...(last?.response_ids ?? [])];
      assert.deepEqual([...row.prompt_ids, ...row.response_ids], whole);
      const mask = new Uint8Array(row.response_ids.length);
      for (const { turn: i, from, to } of row.actions) {
        assert.deepEqual(row.response_ids.slice(from, to), turns[i]?.response_ids);
        assert.deepEqual(row.logprobs?.slice(from, to), turns[i]?.logprobs);
        mask.fill(1, from, to);
      }
      assert.deepEqual(row.response_mask, mask);
      assert.ok(row.logprobs?.every((value, i) => (value !== 0) === (mask[i] === 1)));
    }
  };
  fc.assert(fc.property(anyTurns, fc.boolean(), check), { numRuns: 1000 });
});

test("converting the same rollouts twice gives the same rows, and changes none of them", () => {
  const check = (turns: readonly Turn[]): void => {
    const rollouts = [rolloutOf(turns)];
    const before = structuredClone(rollouts);
    const limits = { prompt: 3, response: 4, overflow: "response" } as const;
    const once = rowsOfTurns(rollouts, { ...trajectory, limits });
    assert.deepEqual(rowsOfTurns(rollouts, { ...trajectory, limits }), once);
    assert.deepEqual(rollouts, before);
  };
  fc.assert(fc.property(anyTurns, check), { numRuns: 200 });
});

test("a turn that observes nothing new appends its response alone (H13)", () => {
  const rows = rowsOf([turn([1, 2], [3]), turn([1, 2, 3], [4])]);
  assert.deepEqual(rows, [
    [
      [1, 2],
      [3, 4],
      [1, 1],
      [0, 1],
    ],
  ]);
});

test("a repeated turn is a row of its own, whatever its response begins with (H14)", () => {
  for (const several of [true, false]) {
    const rows = rowsOf([turn([1, 2], [3]), turn([1, 2], [3])], { several });
    assert.deepEqual(rows, [
      [[1, 2], [3], [1], [0]],
      [[1, 2], [3], [1], [1]],
    ]);
  }
});

test("the excess of a later prompt moves to the response untrained, in front of what was said (H12)", () => {
  const limits = { prompt: 3, response: 8, overflow: "response" } as const;
  const rows = rowsOf([turn([1], [2]), turn([9, 9, 9, 9, 9], [3, 4])], { limits });
  assert.deepEqual(rows[1], [[9, 9, 9], [9, 9, 3, 4], [0, 0, 1, 1], [1]]);
});

test("a prompt that is too long is cut and marked, unless its excess moves", () => {
  const turns = [turn([1], [2]), turn([9, 9, 9, 9, 9], [3])];
  const marks = (overflow: "drop" | "response") =>
    rowsOfTurns([rolloutOf(turns)], {
      ...trajectory,
      limits: { prompt: 3, response: 8, overflow },
    }).rows.map(({ is_drop }) => is_drop);
  assert.deepEqual(marks("drop"), [false, true]);
  assert.deepEqual(marks("response"), [false, false]);
});

test("a response is cut at its limit with mask, log-probs and the places of its turns", () => {
  const turns = [turn([1], [2, 3], [-1, -2]), turn([1, 2, 3, 7, 7], [4, 5], [-3, -4])];
  const limits = { prompt: 9, response: 5, overflow: "drop" } as const;
  const { rows, counts } = rowsOfTurns([rolloutOf(turns)], { ...trajectory, limits });
  const [row] = rows;
  assert.deepEqual(row && shown(row), [[1], [2, 3, 7, 7, 4], [1, 1, 0, 0, 1], [0, 1]]);
  assert.deepEqual(row?.logprobs, Float32Array.of(-1, -2, 0, 0, -3));
  assert.deepEqual(row?.actions.at(-1), { turn: 1, from: 4, to: 5 });
  assert.equal(row?.truncated_tokens, 1);
  assert.equal(counts.truncated, 1);
});

test("a row has log-probs when every turn of it has one per token", () => {
  const cases: [Turn[], boolean][] = [
    [[turn([1], [2], [-1]), turn([1, 2], [3], [-1])], true],
    [[turn([1], [2], [-1]), turn([1, 2], [3])], false],
    [[turn([1], [2]), turn([1, 2], [3], [-1])], false],
    [[turn([1], [2], [-1]), turn([1, 2], [3], [-1, -1])], false],
    [[turn([1], [2], [Number.NaN])], false],
  ];
  for (const [turns, known] of cases) {
    const [row] = rowsOfTurns([rolloutOf(turns)], trajectory).rows;
    assert.equal(row?.logprobs !== null, known);
  }
});

test("turns of different policies never share a row", () => {
  const turns = [
    { ...turn([1], [2]), policy: "writer" },
    { ...turn([1, 2, 3], [4]), policy: "critic" },
    { ...turn([1, 2, 5], [6]), policy: "writer" },
  ];
  const rows = rowsOfTurns([rolloutOf(turns)], trajectory).rows;
  assert.deepEqual(
    rows.map(({ turn_indexes }) => turn_indexes),
    [[0, 2], [1]],
  );
});

test("a turn's own mask decides which of its tokens train, and a row that trains none is counted", () => {
  const masked = { ...turn([1], [2, 3]), loss_mask: Uint8Array.of(0, 1) };
  const silent = { ...turn([5], [6]), loss_mask: Uint8Array.of(0) };
  const { rows, counts } = rowsOfTurns([rolloutOf([masked, silent, turn([8], [])])]);
  assert.deepEqual(
    rows.map(({ response_mask }) => [...response_mask]),
    [[0, 1]],
  );
  assert.equal(counts.empty, 2);
});

test("rollouts come by step and sample, and one without turns still counts", () => {
  const named = (rollout_id: string, step: number, sample_idx: number, turns: Turn[]) =>
    rolloutOf(turns, { rollout_id, step, sample_idx, reward: rollout_id === "c" ? null : 1 });
  const one = [turn([1], [2])];
  const rollouts = [named("a", 1, 2, one), named("b", 0, 9, one), named("c", 1, 0, [])];
  const { rows, counts } = rowsOfTurns(rollouts, { fill: -2 });
  assert.deepEqual(
    rows.map(({ rollout_id }) => rollout_id),
    ["b", "a"],
  );
  assert.equal(counts.rollouts, 3);
  assert.equal(counts.with_turns, 2);
  assert.equal(counts.with_reward, 2);
  assert.equal(counts.mean_reward, 0);
});

/** `turns` calls of sub-agents that share a system prompt, each going on with itself. */
function manyTurns(turns: number): Turn[] {
  const system = Array.from({ length: 100 }, (_, i) => i + 1);
  const agents = Array.from({ length: turns / 5 }, (_, i) => [...system, 1000 + i]);
  return Array.from({ length: turns }, (_, i) => {
    const agent = i % agents.length;
    const made = turn(agents[agent] ?? [], [i % 97]);
    agents[agent] = [...made.prompt_ids, i % 97, i % 89];
    return made;
  });
}

test("the cost is linear: ten times the turns, agents and tokens take about ten times as long", () => {
  const fastest = (turns: readonly Turn[]): number => {
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 8; run++) {
      const before = process.hrtime.bigint();
      rowsOfTurns([rolloutOf(turns)], trajectory);
      best = Math.min(best, Number(process.hrtime.bigint() - before));
    }
    return best;
  };
  const [small, large] = [manyTurns(500), manyTurns(5000)];
  fastest(small);
  const ratio = fastest(large) / fastest(small);
  // Comparing with every open context would make it a hundred.
  assert.ok(ratio < 30, `took ${ratio} times as long`);
});
