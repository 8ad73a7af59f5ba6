/** What becomes of attempts and, by them, of their rollout: 3.1, 3.3 and late spans. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { attemptStatuses } from "../../schemas/statuses.ts";
import { ask, enqueueOf } from "../fixtures.ts";
import {
  at,
  cancel,
  claim,
  outcomeOf,
  type Row,
  retries,
  second,
  set,
  setAttempt,
  silence,
  span,
  start,
  time,
} from "./contract.ts";
import { fold } from "./fold.ts";

const rows: readonly Row[] = [
  // 3.1, the latest attempt's status becomes the rollout's
  [
    "a retry that is allowed",
    [claim("a"), setAttempt({ status: "failed" })],
    { rollout: { status: "requeuing", queued_at: time(2) } },
    retries,
  ],
  [
    "a retry for time-outs alone",
    [claim("a"), setAttempt({ status: "failed" })],
    { rollout: { status: "failed" } },
    { max_attempts: 2, retry_condition: ["timeout"] },
  ],
  [
    "a last attempt",
    [
      claim("a"),
      setAttempt({ status: "failed" }, at),
      claim("b"),
      setAttempt({ status: "failed" }, second),
    ],
    { rollout: { status: "failed", ended_at: time(4) } },
    retries,
  ],
  [
    "an older attempt",
    [claim("a"), start("b"), setAttempt({ status: "succeeded" }, at)],
    {
      rollout: { status: "preparing", ended_at: null },
      attempts: [{ status: "succeeded" }, { status: "preparing" }],
    },
  ],
  // The triggers
  [
    "an enqueue",
    [],
    {
      rollout: { status: "queuing", enqueued_at: time(0), queued_at: time(0), metadata: "{}" },
      attempts: [],
    },
  ],
  [
    "a dequeue",
    [claim("a")],
    {
      rollout: { status: "preparing", enqueued_at: time(0) },
      attempts: [
        { sequence_id: 1, status: "preparing", worker_id: "w", metadata: null, ended_at: null },
      ],
    },
  ],
  ["a dequeue of what is under way", [claim("a"), claim("b")], { attempts: [{ sequence_id: 1 }] }],
  ["start_attempt in the queue", [start("a")], { rollout: { status: "preparing" } }],
  [
    "start_attempt of a finished rollout, beyond max_attempts",
    [claim("a"), setAttempt({ status: "succeeded" }), start("b")],
    {
      rollout: { status: "preparing", ended_at: time(2) },
      attempts: [{ status: "succeeded" }, { sequence_id: 2 }],
    },
  ],
  [
    "start_attempt of a cancelled rollout",
    [cancel, start("a")],
    { rollout: { status: "preparing" } },
  ],
  [
    "a first span",
    [claim("a"), span()],
    {
      rollout: { status: "running" },
      attempts: [{ status: "running", last_heartbeat_at: time(2) }],
    },
  ],
  [
    "a span after silence",
    [claim("a"), silence("a", 1), span()],
    { rollout: { status: "running" }, attempts: [{ status: "running" }] },
    { unresponsive_seconds: 1, ...retries },
  ],
  [
    "a span after silence that failed the rollout",
    [claim("a"), silence("a", 1), span()],
    { rollout: { status: "failed" }, attempts: [{ status: "running" }] },
    { unresponsive_seconds: 1 },
  ],
  [
    "a span after a time-out",
    [claim("a"), silence("a", 1, "timeout"), span()],
    {
      rollout: { status: "failed", ended_at: time(2) },
      attempts: [{ status: "timeout", last_heartbeat_at: time(3), ended_at: null }],
    },
    { timeout_seconds: 1 },
  ],
  [
    "a span after a time-out that waits for its retry",
    [claim("a"), silence("a", 1, "timeout"), span()],
    {
      rollout: { status: "requeuing" },
      attempts: [{ status: "timeout", last_heartbeat_at: time(3) }],
    },
    { timeout_seconds: 1, ...retries },
  ],
  [
    "a span after the success",
    [claim("a"), setAttempt({ status: "succeeded" }), span()],
    {
      rollout: { status: "succeeded", ended_at: time(2) },
      attempts: [{ status: "succeeded", ended_at: time(2), last_heartbeat_at: time(3) }],
    },
  ],
  [
    "a span of an old attempt",
    [claim("a"), silence("a", 1), claim("b"), span()],
    {
      rollout: { status: "preparing" },
      attempts: [{ status: "running", last_heartbeat_at: time(4) }, { status: "preparing" }],
    },
    { unresponsive_seconds: 1, ...retries },
  ],
  [
    "a span while queuing",
    [claim("a"), set({ status: "queuing" }), span()],
    { rollout: { status: "queuing" }, attempts: [{ status: "running" }] },
  ],
  [
    "a span while requeuing by hand",
    [
      claim("a"),
      span(),
      set({ status: "requeuing" }),
      span(second),
      ask("HeartbeatRequested", "ro", "again", { attempt_id: at }),
    ],
    { rollout: { status: "running" } },
  ],
  [
    "a success after a revival",
    [claim("a"), silence("a", 1), span(), setAttempt({ status: "succeeded" })],
    { rollout: { status: "succeeded" }, attempts: [{ status: "succeeded" }] },
    { unresponsive_seconds: 1, ...retries },
  ],
  [
    "a success while the retry waits",
    [claim("a"), silence("a", 1), setAttempt({ status: "succeeded" })],
    { rollout: { status: "succeeded" } },
    { unresponsive_seconds: 1, ...retries },
  ],
  [
    "a failure without a new attempt",
    [claim("a"), silence("a", 1), span(), setAttempt({ status: "failed" })],
    { rollout: { status: "failed" } },
    { unresponsive_seconds: 1, max_attempts: 2, retry_condition: ["unresponsive"] },
  ],
  // update_attempt
  [
    "a patch to time-out",
    [claim("a"), setAttempt({ status: "timeout" })],
    { rollout: { status: "failed" }, attempts: [{ status: "timeout", ended_at: null }] },
  ],
  [
    "a patch to unresponsive",
    [claim("a"), setAttempt({ status: "unresponsive" })],
    { rollout: { status: "failed" }, attempts: [{ status: "unresponsive", ended_at: null }] },
  ],
  [
    "succeeded, failed, running",
    [
      claim("a"),
      setAttempt({ status: "succeeded" }),
      setAttempt({ status: "failed" }),
      setAttempt({ status: "running" }),
    ],
    {
      rollout: { status: "running", ended_at: time(3) },
      attempts: [{ status: "running", ended_at: time(3) }],
    },
  ],
  [
    "the same success twice",
    [claim("a"), setAttempt({ status: "succeeded" }), setAttempt({ status: "succeeded" }, at)],
    { rollout: { ended_at: time(2) }, attempts: [{ ended_at: time(3) }] },
  ],
  [
    "a bare patch of the attempt",
    [claim("a"), set({ status: "failed" }), setAttempt({ metadata: {} })],
    { rollout: { status: "preparing", ended_at: time(2) }, attempts: [{ metadata: "{}" }] },
  ],
  [
    "a bare patch of an older attempt",
    [claim("a"), start("b"), set({ status: "failed" }), setAttempt({ metadata: {} }, at)],
    { rollout: { status: "failed" } },
  ],
  [
    "a bare patch once cancelled",
    [claim("a"), cancel, setAttempt({ metadata: {} })],
    { rollout: { status: "cancelled" }, attempts: [{ metadata: "{}" }] },
  ],
  [
    "a bare patch once cancelled, strictly",
    [claim("a"), cancel, setAttempt({ metadata: {} }, "latest", { rederive: true })],
    { rollout: { status: "preparing" } },
  ],
  [
    "a patched sign of life",
    [claim("a"), setAttempt({ last_heartbeat_at: 5 })],
    { rollout: { status: "preparing" }, attempts: [{ status: "preparing", last_heartbeat_at: 5 }] },
  ],
  [
    "a span after a patched sign of life far ahead",
    [claim("a"), setAttempt({ last_heartbeat_at: time(9e6) }), span()],
    { attempts: [{ last_heartbeat_at: time(3) }] },
  ],
  [
    "an empty worker id and empty metadata",
    [claim("a"), setAttempt({ worker_id: "", metadata: {} })],
    { attempts: [{ worker_id: "", metadata: "{}" }] },
  ],
];

for (const row of rows) {
  test(`${row[0]}: ${JSON.stringify(row[2])}`, () => {
    const { rollout, expected } = outcomeOf(row);
    assert.deepEqual(rollout, expected);
  });
}

test("any status of an attempt may follow any other", () => {
  for (const before of attemptStatuses) {
    for (const status of attemptStatuses) {
      const patches = [setAttempt({ status: before }), setAttempt({ status }, at)];
      const { rollout, decisions } = fold(enqueueOf("ro"), claim("a"), ...patches);
      assert.equal(decisions.at(-1)?.verdict.outcome, "accepted");
      assert.equal(rollout?.attempts[0]?.status, status, `${before} to ${status}`);
    }
  }
});
