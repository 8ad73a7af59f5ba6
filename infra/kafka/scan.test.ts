import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Fetched } from "./reader.ts";
import { tally } from "./scan.ts";

const limit = 1000;

function fetched(nextOffset: number, stableOffset: number, sizes: readonly number[]): Fetched {
  const records = sizes.map((size, i) => ({
    offset: i,
    timestamp: 0,
    key: null,
    value: Buffer.alloc(size),
    headers: {},
    producerId: null,
  }));
  return { records, markers: [], nextOffset, stableOffset, endOffset: stableOffset, askedAt: 0 };
}

async function* fetches(...all: Fetched[]): AsyncGenerator<Fetched> {
  yield* all;
}

describe("lag in records", () => {
  test("is none where only transaction markers are left", async () => {
    const unread = await tally(fetches(fetched(12, 12, [])), { from: 10, to: 12 }, limit);
    assert.deepEqual(unread, { records: 0, exact: true, heldBack: 0 });
  });

  test("is none where nothing is left to ask for", async () => {
    const unread = await tally(fetches(), { from: 5, to: 5 }, limit);
    assert.deepEqual(unread, { records: 0, exact: true, heldBack: 0 });
  });

  test("counts records and not the markers between them", async () => {
    const all = fetches(fetched(4, 9, [1, 1]), fetched(9, 9, [1]));
    const unread = await tally(all, { from: 0, to: 9 }, limit);
    assert.deepEqual(unread, { records: 3, exact: true, heldBack: 0 });
  });

  test("tells what an open transaction holds back, which nobody could have read", async () => {
    const unread = await tally(fetches(fetched(4, 4, [1, 1])), { from: 2, to: 9 }, limit);
    assert.deepEqual(unread, { records: 2, exact: true, heldBack: 5 });
  });

  test("is an upper bound, and says so, when there is more than is read", async () => {
    const all = fetches(fetched(3, 100, [600, 600]), fetched(100, 100, [1]));
    const unread = await tally(all, { from: 0, to: 100 }, limit);
    assert.deepEqual(unread, { records: 2 + 97, exact: false, heldBack: 0 });
  });

  test("does not count what came after the end was taken", async () => {
    const unread = await tally(fetches(fetched(40, 40, [1])), { from: 0, to: 2 }, limit);
    assert.deepEqual(unread, { records: 1, exact: true, heldBack: 0 });
  });
});
