import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { Request } from "../../schemas/requests.ts";
import { ask, enqueueOf, t0 } from "../fixtures.ts";
import { attemptIdFor, decide } from "../rollout-lifecycle.ts";
import {
  covers,
  mergeWorkers,
  type Snapshot,
  seenWorker,
  workerAfter,
  workerAskedInVain,
  workerBeat,
  workersIn,
} from "./workers.ts";

const about = { project: "default", worker_id: "w" };
const claim = (id: string, fields = {}) => ask("ClaimRequested", "ro", id, fields);
const patch = (id: string, set: object) =>
  ask("PatchRequested", "ro", id, { attempt_id: "latest", patch: JSON.stringify(set) });

/** What the requests, a second apart, say of the workers, by id. */
function workersAfter(...requests: readonly Request[]): Map<string, Snapshot> {
  const workers = new Map<string, Snapshot>();
  let rollout: Parameters<typeof decide>[0];
  for (const [offset, request] of requests.entries()) {
    const timestamp = t0 + offset * 1000;
    const decision = decide(rollout, request, { partition: 0, offset, timestamp });
    rollout = decision.rollout;
    const news = workerAfter(request, decision.verdict, rollout, timestamp);
    if (news === null) continue;
    const known = workers.get(news.worker_id);
    workers.set(news.worker_id, known === undefined ? news : mergeWorkers(known, news));
  }
  return workers;
}

/** Log time of the nth request, µs. */
const time = (n: number): number => (t0 + n * 1000) * 1000;
const at = attemptIdFor("ro", "a");
const idle = { status: "idle", rollout_id: null, attempt_id: null };
const unknown = { ...idle, status: "unknown" };
const busy = { status: "busy", rollout_id: "ro", attempt_id: at };
const timeout = (limit: string) =>
  ask("TimeoutRequested", "ro", `t ${limit}`, {
    attempt_id: at,
    limit,
    deadline: (t0 + 2000) * 1000,
  });
const limits = { config: { timeout_seconds: 1, unresponsive_seconds: 1, claim_seconds: 1 } };

/** Rows of v0.3-store.md, 3.3: what is asked after the enqueue, and the worker `w` afterwards. */
const rows: readonly [string, readonly Request[], Partial<Snapshot>][] = [
  ["a dequeue", [claim("a")], { ...busy, last_busy_at: time(1), last_dequeue_at: time(1) }],
  ["start_attempt", [claim("a", { forced: true })], { ...busy, last_dequeue_at: null }],
  [
    "a success",
    [claim("a"), patch("p", { status: "succeeded" })],
    { ...idle, last_idle_at: time(2) },
  ],
  ["a failure", [claim("a"), patch("p", { status: "failed" })], { ...idle, last_busy_at: time(1) }],
  ["an end", [claim("a"), ask("EndRequested", "ro", "e")], { ...idle, last_idle_at: time(2) }],
  [
    "a patch to timeout",
    [claim("a"), patch("p", { status: "timeout" })],
    { ...unknown, last_idle_at: time(2) },
  ],
  ["a patch to unresponsive", [claim("a"), patch("p", { status: "unresponsive" })], unknown],
  [
    "a patch to running",
    [claim("a"), patch("p", { status: "running" })],
    { ...busy, last_busy_at: time(2) },
  ],
  [
    "a reopened attempt",
    [claim("a"), patch("p", { status: "failed" }), patch("q", { status: "running" })],
    busy,
  ],
  [
    "a patch of metadata",
    [claim("a"), patch("p", { metadata: {} })],
    { ...busy, last_busy_at: time(1) },
  ],
  ["a time-out", [claim("a"), timeout("timeout")], { ...unknown, last_idle_at: time(2) }],
  ["silence", [claim("a"), timeout("unresponsive")], unknown],
  ["a lost claim", [claim("a"), timeout("claim")], unknown],
  [
    "a cancellation",
    [claim("a"), ask("CancelRequested", "ro", "c")],
    { ...busy, last_idle_at: null },
  ],
  [
    "a span",
    [claim("a"), ask("HeartbeatRequested", "ro", "h")],
    { ...busy, last_heartbeat_at: null },
  ],
  [
    "a reassignment",
    [claim("a"), patch("p", { worker_id: "v" })],
    { ...busy, last_busy_at: time(1) },
  ],
  ["a void end", [claim("a"), ask("EndRequested", "ro", "e", { status: "x" })], busy],
];

for (const [name, requests, expected] of rows) {
  test(`after ${name} the worker is ${expected.status}`, () => {
    const worker = workersAfter(enqueueOf("ro", limits), ...requests).get("w");
    assert.ok(worker !== undefined);
    assert.deepEqual({ ...worker, ...expected }, worker);
  });
}

test("starting a rollout at once makes its worker busy, without a dequeue", () => {
  const worker = workersAfter(enqueueOf("ro", { start: true, worker_id: "w" })).get("w");
  assert.deepEqual(
    [worker?.status, worker?.last_dequeue_at, worker?.rollout_id],
    ["busy", null, "ro"],
  );
});

test("whom an attempt is given to is busy with it, and whom it is taken from stays so", () => {
  const workers = workersAfter(enqueueOf("ro"), claim("a"), patch("p", { worker_id: "v" }));
  assert.deepEqual([workers.get("w")?.status, workers.get("v")?.status], ["busy", "busy"]);
});

test("an empty worker id makes no worker", () => {
  const requests = [claim("a", { worker_id: "" }), patch("p", { worker_id: "" })];
  assert.equal(workersAfter(enqueueOf("ro"), ...requests).size, 0);
});

test("a dequeue of several leaves the worker at the last of them", () => {
  const found = ["x", "y"].map((ro, i) => {
    const request = ask("ClaimRequested", ro, "a", { requested_at: 5 + i });
    const places = [0, 1].map((offset) => ({ partition: i, offset, timestamp: t0 }));
    const [first, second] = places;
    assert.ok(first !== undefined && second !== undefined);
    const enqueued = decide(undefined, enqueueOf(ro), first).rollout;
    const { rollout, verdict } = decide(enqueued, request, second);
    const news = workerAfter(request, verdict, rollout, t0);
    assert.ok(news !== null);
    return news;
  });
  const [x, y] = found;
  assert.ok(x !== undefined && y !== undefined);
  assert.equal(mergeWorkers(x, y).rollout_id, "y");
  assert.equal(mergeWorkers(y, x).rollout_id, "y");
});

test("who asks in vain is idle from then on, and still named with what it worked on", () => {
  const known = workersAfter(enqueueOf("ro"), claim("a")).get("w");
  assert.ok(known !== undefined);
  const once = mergeWorkers(known, workerAskedInVain(known, about, time(5)));
  assert.deepEqual(
    [once.status, once.last_idle_at, once.last_dequeue_at, once.rollout_id],
    ["idle", time(5), time(5), "ro"],
  );
  const twice = mergeWorkers(once, workerAskedInVain(once, about, time(6)));
  assert.deepEqual([twice.last_idle_at, twice.last_dequeue_at], [time(5), time(6)]);
});

test("a heartbeat moves nothing but its own fields, and the figures only when it brings some", () => {
  const known = workersAfter(enqueueOf("ro"), claim("a")).get("w");
  assert.ok(known !== undefined);
  const once = mergeWorkers(known, workerBeat(about, time(5), '{"n": 1.0}'));
  const twice = mergeWorkers(once, workerBeat(about, time(6), null));
  assert.equal(twice.heartbeat_stats, '{"n": 1.0}');
  assert.equal(twice.last_heartbeat_at, time(6));
  assert.deepEqual([twice.status, twice.rollout_id], ["busy", "ro"]);
  assert.equal(workerBeat(about, time(5), null).status, "unknown");
});

test("a fold that starts from the fact knows what the requests said", () => {
  const requests = [
    enqueueOf("ro", { start: true, worker_id: "w" }),
    patch("p", { status: "failed" }),
  ];
  let rollout: Parameters<typeof decide>[0];
  for (const [offset, request] of requests.entries()) {
    rollout = decide(rollout, request, {
      partition: 0,
      offset,
      timestamp: t0 + offset * 1000,
    }).rollout;
  }
  assert.ok(rollout !== undefined);
  assert.deepEqual(workersIn(rollout), [workersAfter(...requests).get("w")]);
});

const anySnapshot: fc.Arbitrary<Snapshot> = fc
  .record({ time: fc.nat(3), kind: fc.nat(3), order: fc.nat(2), id: fc.constantFrom("1", "2") })
  .map(({ time: when, kind, order, id }) => {
    const moment = { status_at: when, status_order: order, current_at: when, current_order: order };
    const seen = { ...seenWorker(about, when), ...moment };
    const kinds = [
      { ...seen, status: "busy", rollout_id: id, attempt_id: id, last_busy_at: when },
      { ...seen, status: "idle", last_idle_at: when },
      workerBeat(about, when, order === 0 ? null : `{"n":${id}}`),
      workerAskedInVain(undefined, about, when),
    ];
    return kinds[kind] ?? seen;
  });

test("in which order, how grouped and how often snapshots are merged does not matter", () => {
  fc.assert(
    fc.property(
      fc.array(anySnapshot, { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      (snapshots, picks) => {
        const whole = snapshots.reduce(mergeWorkers);
        const left = [...snapshots, ...snapshots.slice(0, 2)];
        while (left.length > 1) {
          const take = (): Snapshot =>
            left.splice((picks.next().value ?? 0) % left.length, 1)[0] ?? whole;
          left.push(mergeWorkers(take(), take()));
        }
        assert.deepEqual(left[0], whole);
        for (const snapshot of snapshots) assert.ok(covers(whole, snapshot));
        assert.equal(
          snapshots.every((snapshot) => covers(snapshot, whole)),
          snapshots.every((snapshot) => isDeepStrictEqual({ ...snapshot }, { ...whole })),
        );
      },
    ),
  );
});
