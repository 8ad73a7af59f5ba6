import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { turn } from "./fixtures.ts";
import { type Placed, severalOpenPrefixes } from "./prefixes.ts";
import type { Turn } from "./turn.ts";

function placedAll(turns: readonly Turn[]): Placed[] {
  const open = severalOpenPrefixes();
  return turns.map(({ prompt_ids, response_ids }, i) => open.place(i, prompt_ids, response_ids));
}

/** The rule itself, without the tree: every open context is compared. */
function placedSlowly(turns: readonly Turn[]): Placed[] {
  const open = new Set<number>();
  const contexts: string[] = [];
  return turns.map(({ prompt_ids, response_ids }, i) => {
    const prompt = Array.from(prompt_ids, (id) => `${id},`).join("");
    const context = prompt + Array.from(response_ids, (id) => `${id},`).join("");
    const shared = contexts.map((other) => commonTokens(other, prompt));
    const fits = [...open].filter((k) => prompt.startsWith(contexts[k] ?? "?"));
    const longest = Math.max(...fits.map((k) => contexts[k]?.length ?? 0));
    const after = fits.filter((k) => contexts[k]?.length === longest).at(-1) ?? null;
    const whole = contexts.map((other) => (prompt.startsWith(other) ? other.length : 0));
    const most = Math.max(...whole, 0);
    const near = most > 0 ? whole.lastIndexOf(most) : shared.lastIndexOf(Math.max(...shared, 0));
    if (after !== null) open.delete(after);
    contexts.push(context);
    if (context !== "") open.add(i);
    return { after, near };
  });
}

function commonTokens(a: string, b: string): number {
  const [x, y] = [a.split(","), b.split(",")];
  let i = 0;
  while (i < x.length - 1 && i < y.length - 1 && x[i] === y[i]) i += 1;
  return i;
}

const ids = fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 4 });

/** Turns that often go on with, repeat, cut or branch off one another. */
const conversation = fc
  .array(fc.record({ of: fc.nat(), keep: fc.nat(), fresh: ids, said: ids, all: fc.boolean() }), {
    maxLength: 14,
  })
  .map((drawn) => {
    const turns: Turn[] = [];
    for (const { of, keep, fresh, said, all } of drawn) {
      const from = turns[of % (turns.length + 1)];
      const context = from === undefined ? [] : [...from.prompt_ids, ...from.response_ids];
      turns.push(turn([...(all ? context : context.slice(0, keep % 12)), ...fresh], said));
    }
    return turns;
  });

test("a turn goes on with the longest open context that its prompt starts with, the last of equals", () => {
  const check = (turns: readonly Turn[]): void => {
    assert.deepEqual(placedAll(turns), placedSlowly(turns));
  };
  fc.assert(fc.property(conversation, check), { numRuns: 2000 });
});

test("two samples of one prompt stay apart, and each is gone on with once", () => {
  const turns = [
    turn([1, 2], [3]),
    turn([1, 2], [3]),
    turn([1, 2, 3, 7], [8]),
    turn([1, 2, 3, 9], [8]),
    turn([1, 2, 3, 5], [8]),
  ];
  const after = placedAll(turns).map((placed) => placed.after);
  assert.deepEqual(after, [null, null, 1, 0, null]);
});

test("a call without token ids swallows no other", () => {
  const turns = [turn([], []), turn([1, 2], [3]), turn([], []), turn([1, 2, 3], [4])];
  const after = placedAll(turns).map((placed) => placed.after);
  assert.deepEqual(after, [null, null, null, 1]);
});
