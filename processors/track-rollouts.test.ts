import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Request } from "../schemas/requests.ts";
import type { RolloutChanged } from "../schemas/types.ts";
import { type Driven, type DriveOptions, drive, type Input } from "./drive.ts";
import { ask, enqueueOf, input, t0, valuesOf } from "./fixtures.ts";
import { attemptIdFor, decide } from "./rollout-lifecycle.ts";
import { trackRollouts } from "./track-rollouts.ts";

const day = 86_400_000;

/**
 * Drives with the loop closed: what the processor writes to `requests` comes back to it as input,
 * when it was written, until it has nothing more to say by the end of a day.
 */
async function run(inputs: readonly Input[], options: DriveOptions = {}): Promise<Driven> {
  let log = inputs;
  for (;;) {
    const driven = await drive(trackRollouts, log, { until: t0 + day, ...options });
    const asked = valuesOf(driven.out, "TimeoutRequested").find(
      ({ request_id }) =>
        !log.some(({ value }) => "request_id" in value && value.request_id === request_id),
    );
    if (asked === undefined) return driven;
    const timestamp = Math.ceil(asked.deadline / 1000);
    const place = log.filter((record) => record.timestamp < timestamp).length;
    log = log.toSpliced(place, 0, input({ type: "TimeoutRequested", value: asked }, timestamp));
  }
}

/** Requests a second apart, as the log has them. */
function log(...requests: readonly Request[]): Input[] {
  return requests.map((request, i) => input(request, t0 + i * 1000));
}

const claim = ask("ClaimRequested", "ro", "a");
const statuses = (driven: Driven) => valuesOf(driven.out, "RolloutChanged").map((ro) => ro.status);

test("every accepted change becomes a fact, a void request none", async () => {
  const requests = log(
    enqueueOf("ro"),
    claim,
    ask("ClaimRequested", "ro", "b"),
    ask("EndRequested", "ro", "e"),
  );
  const driven = await drive(trackRollouts, requests);
  assert.deepEqual(statuses(driven), ["queuing", "preparing", "succeeded"]);
  const facts = valuesOf(driven.out, "RolloutChanged");
  assert.deepEqual(
    facts.map((fact) => fact.request_offset),
    [0, 1, 3],
  );
  assert.deepEqual(facts.at(-1)?.input, '{"task": 1.0}');
});

test("the mark is written to the rollout's spans once", async () => {
  const end = ask("EndRequested", "ro", "e");
  const driven = await run(log(enqueueOf("ro"), claim, end, end));
  const marks = driven.out.filter((emitted) => emitted.type === "AttemptEnded");
  assert.deepEqual(
    marks.map(({ topic, key }) => [topic, key]),
    [["spans", "default/ro"]],
  );
});

test("an attempt that runs over is timed out through the log, and the retry rule applies", async () => {
  const config = { timeout_seconds: 10, max_attempts: 2, retry_condition: ["timeout"] };
  const driven = await run(log(enqueueOf("ro", { config }), claim));
  const [asked] = valuesOf(driven.out, "TimeoutRequested");
  assert.equal(asked?.limit, "timeout");
  assert.equal(asked?.deadline, (t0 + 11_000) * 1000);
  assert.deepEqual(statuses(driven), ["queuing", "preparing", "requeuing"]);
});

test("signs of life keep an attempt from becoming unresponsive until they stop", async () => {
  const config = { unresponsive_seconds: 3 };
  const beats = Array.from({ length: 8 }, (_, i) => ask("HeartbeatRequested", "ro", `h${i}`));
  const driven = await run(log(enqueueOf("ro", { config }), claim, ...beats));
  const [failed] = valuesOf(driven.out, "RolloutChanged").filter((ro) => ro.status === "failed");
  assert.equal(failed?.ended_at, (t0 + 9000 + 3000) * 1000);
  assert.equal(failed?.attempts[0]?.status, "unresponsive");
});

test("an end that stands in the log before the time-out wins", async () => {
  const config = { timeout_seconds: 1 };
  const timeout = ask("TimeoutRequested", "ro", "t", {
    attempt_id: attemptIdFor("ro", "a"),
    limit: "timeout",
    deadline: (t0 + 2000) * 1000,
  });
  const driven = await drive(
    trackRollouts,
    log(enqueueOf("ro", { config }), claim, ask("EndRequested", "ro", "e"), timeout),
  );
  assert.equal(statuses(driven).at(-1), "succeeded");
});

test("a claim that nothing follows goes back to the queue, also without a retry rule", async () => {
  const driven = await run(log(enqueueOf("ro", { config: { claim_seconds: 5 } }), claim));
  const [asked] = valuesOf(driven.out, "TimeoutRequested");
  assert.deepEqual([asked?.limit, asked?.deadline], ["claim", (t0 + 6000) * 1000]);
  assert.deepEqual(statuses(driven), ["queuing", "preparing", "requeuing"]);
  const back = valuesOf(driven.out, "RolloutChanged").at(-1);
  assert.equal(back?.queued_at, (t0 + 6000) * 1000);
});

test("a claim that a span followed does not go back", async () => {
  const span = ask("HeartbeatRequested", "ro", "span");
  const driven = await run(log(enqueueOf("ro", { config: { claim_seconds: 5 } }), claim, span));
  assert.deepEqual(statuses(driven), ["queuing", "preparing", "running"]);
});

test("a sign of life that takes back one far ahead brings the deadline nearer", async () => {
  const ahead = ask("PatchRequested", "ro", "p", {
    attempt_id: "latest",
    patch: JSON.stringify({ last_heartbeat_at: (t0 + 50_000) * 1000 }),
  });
  const config = { unresponsive_seconds: 3 };
  const span = ask("HeartbeatRequested", "ro", "span");
  const driven = await run(log(enqueueOf("ro", { config }), claim, ahead, span));
  const [asked] = valuesOf(driven.out, "TimeoutRequested");
  assert.equal(asked?.deadline, (t0 + 6000) * 1000);
});

test("a time-out that a sign of life overtook does not end the watch", async () => {
  const inputs = [enqueueOf("ro", { config: { unresponsive_seconds: 3 } }), claim].map((request) =>
    input(request, t0),
  );
  const beat = input(ask("HeartbeatRequested", "ro", "h"), t0 + 4000);
  const first = await drive(trackRollouts, [...inputs, beat]);
  const [overtaken] = valuesOf(first.out, "TimeoutRequested");
  assert.ok(overtaken !== undefined);
  const timeout = input({ type: "TimeoutRequested", value: overtaken }, t0 + 4001);
  const driven = await drive(trackRollouts, [...inputs, beat, timeout], { until: t0 + day });
  const asked = valuesOf(driven.out, "TimeoutRequested").map(
    ({ deadline }) => deadline / 1000 - t0,
  );
  assert.deepEqual(asked, [3000, 7000]);
});

test("who asks too early because a clock runs fast asks again when it will be right", async () => {
  const config = { timeout_seconds: 5 };
  const attempt_id = attemptIdFor("ro", "a");
  const deadline = (t0 + 6000) * 1000;
  const fast = ask("TimeoutRequested", "ro", "t", {
    attempt_id,
    limit: "timeout",
    deadline,
    requested_at: deadline,
  });
  const inputs = [...log(enqueueOf("ro", { config }), claim), input(fast, t0 + 2500)];
  const driven = await drive(trackRollouts, inputs, { until: t0 + day });
  assert.deepEqual(statuses(driven), ["queuing", "preparing"]);
  const asked = driven.out.filter(({ type }) => type === "TimeoutRequested");
  assert.deepEqual(
    valuesOf(asked, "TimeoutRequested").map(({ requested_at }) => requested_at),
    [(t0 + 6000 + 3500) * 1000],
  );
});

test("a finished rollout is forgotten with a tombstone after an hour", async () => {
  const driven = await run(log(enqueueOf("ro"), ask("CancelRequested", "ro", "c")));
  const last = driven.out.at(-1);
  assert.deepEqual([last?.type, last?.topic, last?.key], [null, "rollouts", "default/ro"]);
  const [asked] = valuesOf(driven.out, "TimeoutRequested");
  assert.equal(asked?.deadline, (t0 + 1000 + 3_600_000) * 1000);
  assert.equal(driven.changelog.size, 0);
});

test("a key that is not the rollout's is refused, naming it", async () => {
  const wrong = { ...input(enqueueOf("ro")), key: "default/other" };
  await assert.rejects(
    drive(trackRollouts, [wrong]),
    /key: read default\/other, must be default\/ro/,
  );
});

const anyRequest: fc.Arbitrary<Request> = fc
  .record({ ro: fc.constantFrom("x", "y"), id: fc.nat(9), on: fc.boolean(), kind: fc.nat(6) })
  .map(({ ro, id, on, kind }) => {
    const config = {
      timeout_seconds: 20,
      unresponsive_seconds: 5,
      claim_seconds: 3,
      max_attempts: 3,
    };
    const retry_condition = ["failed", "timeout", "unresponsive"];
    const request = `${kind} ${id}`;
    const kinds = [
      enqueueOf(ro, { start: on, request_id: request, config: { ...config, retry_condition } }),
      ask("ClaimRequested", ro, request, { forced: on }),
      ask("HeartbeatRequested", ro, request, { by_span: on }),
      ask("EndRequested", ro, request, { status: on ? "succeeded" : "failed" }),
      ask("PatchRequested", ro, request, {
        patch: on ? '{"status":"queuing"}' : '{"status":"failed"}',
      }),
      ask("CancelRequested", ro, request),
      ask("SequenceRequested", ro, request),
    ];
    return kinds[kind] ?? ask("CancelRequested", ro, request);
  });

const anyLog = fc.array(fc.tuple(anyRequest, fc.nat(4000)), { maxLength: 15 }).map((steps) => {
  let time = t0;
  const enqueued = [enqueueOf("x"), enqueueOf("y")].map((request) => input(request, t0));
  return [
    ...enqueued,
    ...steps.map(([request, wait]) => {
      time += wait;
      return input(request, time);
    }),
  ];
});

test("crashing anywhere changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(anyLog, fc.array(fc.nat(20)), fc.array(fc.nat(20)), async (inputs, a, b) => {
      const calm = await run(inputs);
      const crashed = await run(inputs, { crashAfter: a, crashBefore: b });
      assert.deepEqual(crashed, calm);
    }),
    { numRuns: 40 },
  );
});

test("the facts are what a gateway folds from the same requests", async () => {
  await fc.assert(
    fc.asyncProperty(anyLog, async (inputs) => {
      const driven = await drive(trackRollouts, inputs);
      const folded = new Map<string, RolloutChanged>();
      for (const [offset, record] of inputs.entries()) {
        const at = { partition: 0, offset, timestamp: record.timestamp };
        const { rollout } = decide(folded.get(record.key), record as unknown as Request, at);
        if (rollout !== undefined) folded.set(record.key, rollout);
      }
      for (const [key, rollout] of folded) {
        const last = driven.out.findLast((out) => out.topic === "rollouts" && out.key === key);
        assert.deepEqual(
          JSON.parse(JSON.stringify(last?.value)),
          JSON.parse(JSON.stringify(rollout)),
        );
      }
    }),
    { numRuns: 40 },
  );
});

test("every rollout reaches its end once it is finished", async () => {
  await fc.assert(
    fc.asyncProperty(anyLog, async (inputs) => {
      const last = inputs.at(-1)?.timestamp ?? t0;
      const cancels = ["x", "y"].map((ro) =>
        input(ask("CancelRequested", ro, "at last"), last + 1),
      );
      const driven = await run([...inputs, ...cancels]);
      assert.equal(driven.changelog.size, 0);
    }),
    { numRuns: 40 },
  );
});
