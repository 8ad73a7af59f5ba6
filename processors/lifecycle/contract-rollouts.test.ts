/** What is asked of rollouts themselves, their place in the queue, numbers and limits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Request } from "../../schemas/requests.ts";
import { rolloutStatuses } from "../../schemas/statuses.ts";
import { ask, enqueueOf, t0 } from "../fixtures.ts";
import {
  cancel,
  claim,
  outcomeOf,
  type Row,
  retries,
  set,
  setAttempt,
  silence,
  span,
  start,
  time,
} from "./contract.ts";
import { deadlineOf } from "./deadlines.ts";
import { fold } from "./fold.ts";

const rows: readonly Row[] = [
  // update_rollout
  [
    "a patch of the rollout",
    [claim("a"), set({ status: "succeeded" })],
    {
      rollout: { status: "succeeded", ended_at: time(2) },
      attempts: [{ status: "preparing", ended_at: null }],
    },
  ],
  [
    "a second end",
    [claim("a"), set({ status: "succeeded" }), set({ status: "failed" })],
    { rollout: { status: "failed", ended_at: time(3) } },
  ],
  [
    "the same end again",
    [claim("a"), set({ status: "succeeded" }, "1"), set({ status: "succeeded" }, "2")],
    { rollout: { ended_at: time(3) } },
  ],
  [
    "a reopened rollout",
    [claim("a"), set({ status: "succeeded" }), set({ status: "running" })],
    { rollout: { status: "running", ended_at: time(2) } },
  ],
  [
    "a rollout put back",
    [claim("a"), set({ status: "succeeded" }), set({ status: "queuing" })],
    { rollout: { status: "queuing", ended_at: time(2), queued_at: time(3) } },
  ],
  [
    "a cancellation",
    [claim("a"), set({ status: "cancelled" })],
    {
      rollout: { status: "cancelled", ended_at: time(2) },
      attempts: [{ status: "preparing", ended_at: null }],
    },
  ],
  [
    "a patch without a status",
    [claim("a"), set({ status: "failed" }), set({ mode: "val" })],
    { rollout: { status: "failed", mode: "val", ended_at: time(2) } },
  ],
  [
    "nulls that clear",
    [set({ input: null, mode: null, resources_id: null, metadata: null })],
    { rollout: { input: "null", mode: null, resources_id: null, metadata: "null" } },
  ],
  [
    "a status that is null",
    [set({ mode: "val", status: null })],
    { rollout: { status: "queuing", mode: "train" } },
  ],
  ["a config that is null", [set({ mode: "val", config: null })], { rollout: { mode: "train" } }],
  [
    "an attempt status that is null",
    [claim("a"), setAttempt({ metadata: {}, status: null })],
    { attempts: [{ status: "preparing", metadata: null }] },
  ],
  ["an empty patch", [claim("a"), set({}), setAttempt({})], { rollout: { status: "preparing" } }],
  // 3.2, places in the queue
  [
    "a retry in the queue",
    [claim("a"), setAttempt({ status: "failed" })],
    { rollout: { queued_at: time(2), keeps_place: false } },
    retries,
  ],
  [
    "an entry that still stands",
    [start("a"), setAttempt({ status: "failed" })],
    { rollout: { status: "requeuing", queued_at: time(0) } },
    retries,
  ],
  [
    "an entry that a revival left standing",
    [claim("a"), silence("a", 1), span(), setAttempt({ status: "failed" })],
    { rollout: { status: "requeuing", queued_at: time(2) } },
    { unresponsive_seconds: 1, ...retries },
  ],
  [
    "a patch from queuing to requeuing",
    [set({ status: "requeuing" })],
    { rollout: { status: "requeuing", queued_at: time(0) } },
  ],
  [
    "a patch to running and back",
    [set({ status: "running" }), set({ status: "queuing" })],
    { rollout: { queued_at: time(0) } },
  ],
  // 3.6, numbers
  [
    "three numbers",
    [ask("SequenceRequested", "ro", "s", { count: 3 })],
    { rollout: { next_sequence_id: 4 } },
  ],
  [
    "a span with number 100",
    [ask("SequenceRequested", "ro", "s", { count: 0, at_least: 101 })],
    { rollout: { next_sequence_id: 101 } },
  ],
  [
    "a span with a lower number",
    [
      ask("SequenceRequested", "ro", "s", { count: 5 }),
      ask("SequenceRequested", "ro", "u", { count: 0, at_least: 1 }),
    ],
    { rollout: { next_sequence_id: 6 } },
  ],
];

for (const row of rows) {
  test(`${row[0]}: ${JSON.stringify(row[2])}`, () => {
    const { rollout, expected } = outcomeOf(row);
    assert.deepEqual(rollout, expected);
  });
}

test("any status of a rollout may follow any other", () => {
  for (const before of rolloutStatuses) {
    for (const status of rolloutStatuses) {
      const patches = [set({ status: before }, "1"), set({ status }, "2")];
      const { rollout } = fold(enqueueOf("ro"), claim("a"), ...patches);
      assert.equal(rollout?.status, status, `${before} to ${status}`);
    }
  }
});

test("a raise of the counter is answered with the next number and hands none out", () => {
  const raise = ask("SequenceRequested", "ro", "s", { count: 0, at_least: 91 });
  const { decisions } = fold(enqueueOf("ro"), raise, raise, ask("SequenceRequested", "ro", "u"));
  const answers = decisions.slice(1).map(({ verdict }) => verdict.sequenceId);
  assert.deepEqual(answers, [91, 91, 91]);
});

test("numbers may begin below one", () => {
  const raise = ask("SequenceRequested", "ro", "s", { count: 0, at_least: -3 });
  assert.equal(fold(enqueueOf("ro"), raise).rollout?.next_sequence_id, 1);
});

/** 3.4: seconds after the enqueue at second 0 and the claim at second 1. */
const limits = { timeout_seconds: 60, unresponsive_seconds: 10 };
const watches: readonly (readonly [string, readonly Request[], string | null, number, object?])[] =
  [
    ["an attempt without a sign of life", [claim("a")], "unresponsive", 11],
    ["one with a span", [claim("a"), span()], "unresponsive", 12],
    [
      "one with a patched sign of life",
      [claim("a"), setAttempt({ last_heartbeat_at: time(5) })],
      "unresponsive",
      15,
    ],
    [
      "the time-out, whatever the spans",
      [claim("a"), span()],
      "timeout",
      61,
      { unresponsive_seconds: null },
    ],
    ["the latest attempt alone", [claim("a"), start("b")], "unresponsive", 12],
    ["no rollout in the queue", [], null, 0],
    [
      "no rollout that waits for its retry",
      [claim("a"), setAttempt({ status: "failed" })],
      null,
      0,
      retries,
    ],
    ["a claim that nothing follows", [claim("a")], "claim", 4, { claim_seconds: 3 }],
    [
      "no claim that a span followed",
      [claim("a"), span()],
      "unresponsive",
      12,
      { claim_seconds: 3 },
    ],
    [
      "no claim that a patch followed",
      [claim("a"), setAttempt({ metadata: {} })],
      "unresponsive",
      11,
      { claim_seconds: 3 },
    ],
    ["a finished rollout", [cancel], "retention", 1 + 7, { retention_seconds: 7 }],
  ];

for (const [name, requests, limit, seconds, config = {}] of watches) {
  test(`the watchdog looks at ${name}: ${limit}`, () => {
    const { rollout } = fold(enqueueOf("ro", { config: { ...limits, ...config } }), ...requests);
    assert.ok(rollout !== undefined);
    const deadline = deadlineOf(rollout);
    assert.equal(deadline?.limit ?? null, limit);
    if (deadline !== null) assert.equal(deadline.at, time(seconds));
  });
}

test("the place in the queue is when the enqueue was asked for, unless that clock is far off", () => {
  const places = [t0 * 1000 - 4000, t0 * 1000 + 9_000_000, 0].map(
    (requested_at) => fold(enqueueOf("ro", { requested_at })).rollout?.queued_at,
  );
  assert.deepEqual(places, [t0 * 1000 - 4000, t0 * 1000, t0 * 1000]);
});
