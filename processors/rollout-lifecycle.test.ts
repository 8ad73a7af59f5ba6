import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Request } from "../schemas/requests.ts";
import { attemptStatuses, rolloutStatuses } from "../schemas/statuses.ts";
import type { RolloutChanged } from "../schemas/types.ts";
import { ask, enqueueOf, t0 } from "./fixtures.ts";
import { fold } from "./lifecycle/fold.ts";
import { attemptIdFor, decide } from "./rollout-lifecycle.ts";

const claim = (id: string, fields = {}) => ask("ClaimRequested", "ro", id, fields);
const end = (id: string, fields = {}) => ask("EndRequested", "ro", id, fields);
const patch = (id: string, set: object | string, fields = {}) =>
  ask("PatchRequested", "ro", id, {
    patch: typeof set === "string" ? set : JSON.stringify(set),
    ...fields,
  });
const retried = { config: { max_attempts: 2, retry_condition: ["failed", "unresponsive"] } };

test("of two claims the first in the log wins and the other is a conflict", () => {
  const { decisions, rollout } = fold(enqueueOf("ro"), claim("a"), claim("b"));
  assert.equal(decisions[1]?.verdict.attemptId, attemptIdFor("ro", "a"));
  assert.equal(decisions[2]?.verdict.outcome, "void");
  assert.equal(decisions[2]?.verdict.reason, "conflict");
  assert.equal(rollout?.attempts.length, 1);
});

test("a request that is sent again is answered as the first time and applied once", () => {
  const sequence = ask("SequenceRequested", "ro", "s", { count: 3 });
  const { decisions, rollout } = fold(
    enqueueOf("ro"),
    claim("a"),
    claim("a"),
    sequence,
    ask("SequenceRequested", "ro", "s2"),
    sequence,
    enqueueOf("ro"),
    end("e"),
    end("e"),
  );
  const outcomes = decisions.map(({ verdict }) => verdict.outcome[0]).join("");
  assert.equal(outcomes, "aaraarrar");
  assert.equal(decisions[2]?.verdict.attemptId, decisions[1]?.verdict.attemptId);
  assert.deepEqual(
    [3, 4, 5].map((i) => decisions[i]?.verdict.sequenceId),
    [1, 4, 1],
  );
  assert.equal(rollout?.next_sequence_id, 5);
  assert.equal(decisions[8]?.verdict.attemptId, attemptIdFor("ro", "a"));
});

test("the enqueue and every claim are recognised however many requests came since", () => {
  const many = Array.from({ length: 40 }, (_, i) => patch(`p${i}`, { metadata: { i } }));
  const { decisions, rollout } = fold(
    enqueueOf("ro"),
    claim("a"),
    ...many,
    enqueueOf("ro"),
    claim("a"),
  );
  assert.deepEqual(
    decisions.slice(-2).map(({ verdict }) => verdict.outcome),
    ["repeated", "repeated"],
  );
  assert.equal(rollout?.recent_requests.length, 17);
});

test("another enqueue of a known rollout is a conflict", () => {
  const { decisions } = fold(enqueueOf("ro"), enqueueOf("ro", { request_id: "other" }));
  assert.equal(decisions[1]?.verdict.reason, "conflict");
});

test("enqueue with start begins the first attempt at once", () => {
  const { rollout, decisions } = fold(enqueueOf("ro", { start: true, worker_id: "w" }));
  assert.equal(rollout?.status, "preparing");
  assert.equal(decisions[0]?.verdict.attemptId, rollout?.attempts[0]?.attempt_id);
  assert.equal(rollout?.attempts[0]?.worker_id, "w");
});

for (const [name, request, message] of [
  ["group size", enqueueOf("ro", { group_size: 0 }), /group_size: read 0/],
  ["mode", enqueueOf("ro", { mode: "x" }), /mode: read x, allowed are train/],
  ["grace", enqueueOf("ro", { config: { grace_seconds: Number.NaN } }), /grace_seconds: read NaN/],
  ["attempts", enqueueOf("ro", { config: { max_attempts: 0 } }), /max_attempts: read 0/],
  ["retries", enqueueOf("ro", { config: { retry_condition: ["x"] } }), /retry_condition: read x/],
] as const) {
  test(`an enqueue with a bad ${name} is void and says which field`, () => {
    const { decisions, rollout } = fold(request);
    assert.equal(rollout, undefined);
    assert.equal(decisions[0]?.verdict.reason, null);
    assert.match(decisions[0]?.verdict.message ?? "", message);
  });
}

test("requests for an unknown rollout are void as unknown", () => {
  for (const request of [claim("a"), end("b"), patch("c", {}), ask("CancelRequested", "ro", "d")]) {
    assert.equal(fold(request).decisions[0]?.verdict.reason, "unknown");
  }
});

test("a succeeded attempt finishes its rollout with one final mark", () => {
  const { rollout, marks } = fold(enqueueOf("ro"), claim("a"), end("e"), end("f"));
  assert.equal(rollout?.status, "succeeded");
  assert.equal(rollout?.ended_at, (t0 + 2000) * 1000);
  assert.equal(marks.length, 1);
  assert.equal(marks[0]?.final, true);
  assert.equal(marks[0]?.attempt_id, attemptIdFor("ro", "a"));
  assert.equal(marks[0]?.request_offset, 2);
  assert.equal(marks[0]?.rollout_status, "succeeded");
});

test("a failed attempt goes back to the tail of the queue while attempts remain, then fails", () => {
  const failed = { status: "failed", error: "boom" };
  const requests = [enqueueOf("ro", retried), claim("a"), end("e", failed)];
  const once = fold(...requests);
  assert.equal(once.rollout?.status, "requeuing");
  assert.equal(once.rollout?.queued_at, (t0 + 2000) * 1000);
  assert.equal(once.marks.length, 0);
  const twice = fold(...requests, claim("b"), end("f", failed));
  assert.equal(twice.rollout?.status, "failed");
  assert.equal(twice.rollout?.error, "boom");
  assert.deepEqual(
    twice.marks.map(({ attempt_sequence_id, final }) => [attempt_sequence_id, final]),
    [
      [1, false],
      [2, true],
    ],
  );
});

test("a rollout cancelled in the queue gets a final mark without an attempt", () => {
  const { rollout, marks } = fold(enqueueOf("ro"), ask("CancelRequested", "ro", "c"));
  assert.equal(rollout?.status, "cancelled");
  assert.deepEqual([marks[0]?.final, marks[0]?.attempt_id], [true, ""]);
});

test("a cancelled rollout stays cancelled whatever its runner reports", () => {
  const { rollout, decisions, marks } = fold(
    enqueueOf("ro"),
    claim("a"),
    ask("CancelRequested", "ro", "c"),
    patch("p", { status: "succeeded" }, { attempt_id: "latest" }),
  );
  assert.equal(rollout?.status, "cancelled");
  assert.equal(decisions[3]?.verdict.outcome, "accepted");
  assert.equal(rollout?.attempts[0]?.status, "succeeded");
  assert.equal(marks.length, 1);
});

test("of two ends of one attempt the second is a conflict", () => {
  const { decisions } = fold(enqueueOf("ro"), claim("a"), end("e"), end("f", { status: "failed" }));
  assert.equal(decisions[3]?.verdict.reason, "conflict");
});

test("a forced claim starts an attempt from any status and marks the one before once", () => {
  const forced = { forced: true };
  const { rollout, marks } = fold(
    enqueueOf("ro"),
    claim("a"),
    claim("b", forced),
    end("e", { attempt_id: attemptIdFor("ro", "a") }),
    end("f"),
    claim("c", forced),
    end("g"),
  );
  assert.equal(rollout?.attempts.length, 3);
  assert.deepEqual(
    marks.map(({ attempt_sequence_id, final }) => [attempt_sequence_id, final]),
    [
      [1, false],
      [2, true],
      [3, false],
    ],
  );
});

test("heartbeats make an attempt run, and a span revives a silent one", () => {
  const limits = { unresponsive_seconds: 1, ...retried.config };
  const requests = [enqueueOf("ro", { config: limits }), claim("a")];
  const attempt_id = attemptIdFor("ro", "a");
  const silent = ask("TimeoutRequested", "ro", "t", {
    attempt_id,
    limit: "unresponsive",
    deadline: (t0 + 2000) * 1000,
  });
  assert.equal(fold(...requests, silent).rollout?.status, "requeuing");
  const beat = ask("HeartbeatRequested", "ro", "h");
  const revived = fold(...requests, silent, beat);
  assert.equal(revived.rollout?.status, "running");
  assert.equal(revived.rollout?.attempts[0]?.status, "running");
  assert.equal(revived.marks.length, 0);
  const alive = fold(...requests, beat, silent);
  assert.equal(alive.decisions[3]?.verdict.reason, "conflict");
  assert.equal(alive.rollout?.attempts[0]?.status, "running");
});

test("a request for numbers of an attempt's first spans makes it run, and is answered once", () => {
  const attempt_id = attemptIdFor("ro", "a");
  const numbers = ask("SequenceRequested", "ro", "s", { count: 3, attempt_id });
  const { decisions, rollout } = fold(enqueueOf("ro"), claim("a"), numbers, numbers);
  assert.deepEqual([rollout?.status, rollout?.attempts[0]?.status], ["running", "running"]);
  assert.deepEqual([rollout?.next_sequence_id, decisions[3]?.verdict.sequenceId], [4, 1]);
  const strange = ask("SequenceRequested", "ro", "s", { count: 3, attempt_id: "at-none" });
  const numbered = fold(enqueueOf("ro"), claim("a"), strange);
  assert.deepEqual(
    [numbered.rollout?.status, numbered.rollout?.next_sequence_id],
    ["preparing", 4],
  );
});

test("a lost claim goes back to the queue without a retry rule, until it is lost 16 times", () => {
  let rollout = fold(enqueueOf("ro", { config: { claim_seconds: 5 } })).rollout;
  for (let i = 1; i <= 16; i++) {
    assert.equal(rollout?.status, i === 1 ? "queuing" : "requeuing");
    const at = { partition: 0, offset: i * 2, timestamp: t0 + i * 1000 };
    rollout = decide(rollout, claim(`c${i}`), at).rollout;
    const timeout = ask("TimeoutRequested", "ro", `t${i}`, {
      attempt_id: attemptIdFor("ro", `c${i}`),
      limit: "claim",
      deadline: (at.timestamp + 5000) * 1000,
    });
    const passed = { ...at, offset: i * 2 + 1, timestamp: at.timestamp + 5000 };
    rollout = decide(rollout, timeout, passed).rollout;
  }
  assert.equal(rollout?.status, "failed");
});

test("a limit passes by the log's clock, whatever the clock of who says so", () => {
  const before = fold(enqueueOf("ro", { config: { timeout_seconds: 5 } }), claim("a")).rollout;
  const deadline = (before?.attempts[0]?.started_at ?? 0) + 5_000_000;
  const attempt_id = attemptIdFor("ro", "a");
  const timeout = ask("TimeoutRequested", "ro", "t", { attempt_id, limit: "timeout", deadline });
  const at = (ms: number) => ({ partition: 0, offset: 9, timestamp: deadline / 1000 + ms });
  const early = decide(before, timeout, at(-1));
  assert.equal(early.rollout, before);
  assert.equal(early.verdict.reason, "conflict");
  assert.equal(decide(before, timeout, at(0)).rollout?.status, "failed");
});

const anyRequest: fc.Arbitrary<Request> = fc
  .record({
    id: fc.constantFrom("1", "2", "3", "4", "5", "6", "7", "8", "9"),
    attempt: fc.constantFrom("latest", attemptIdFor("ro", "1"), attemptIdFor("ro", "2"), "none"),
    on: fc.boolean(),
    status: fc.constantFrom(...rolloutStatuses, ...attemptStatuses, "bad"),
    kind: fc.nat(12),
  })
  .map(({ id, attempt, on, status, kind }) => {
    const kinds = [
      enqueueOf("ro", { ...retried, start: on, request_id: id }),
      claim(id, { forced: on }),
      claim(id),
      ask("HeartbeatRequested", "ro", id, { attempt_id: attempt, by_span: on }),
      end(id, { attempt_id: attempt, status: on ? "succeeded" : "failed" }),
      end(id),
      patch(id, { status }, { attempt_id: on ? attempt : null }),
      ask("CancelRequested", "ro", id),
      ask("SequenceRequested", "ro", id, { count: Number(on), attempt_id: on ? attempt : null }),
      patch(id, { metadata: {} }, { attempt_id: attempt, rederive: on }),
      patch(id, { status }, { attempt_id: "latest", rederive: on }),
      patch(id, { status: on ? "queuing" : "requeuing" }),
      ask("SequenceRequested", "ro", id, { count: 0, at_least: 7 }),
    ];
    return kinds[kind] ?? end(id);
  });

test("whatever is asked: one final mark, one mark per attempt at most, and a second fold agrees", () => {
  fc.assert(
    fc.property(fc.array(anyRequest, { maxLength: 30 }), (requests) => {
      const { rollout, decisions, marks } = fold(...requests);
      assert.ok(marks.filter((mark) => mark.final).length <= 1);
      const ids = marks.map((mark) => mark.attempt_id);
      assert.equal(new Set(ids).size, ids.length);
      const finished = rollout?.ended_at ?? null;
      assert.equal(
        marks.some((mark) => mark.final),
        finished !== null,
      );
      assert.equal(rollout?.marked_attempts ?? 0, ids.filter((id) => id !== "").length);
      assert.deepEqual(fold(...requests).rollout, rollout);
      for (const { verdict } of decisions) {
        assert.equal(
          verdict.outcome === "void",
          verdict.message !== "" && verdict.message !== "applied before",
        );
      }
    }),
    { numRuns: 300 },
  );
});

test("whatever is asked: numbers never come twice, and a place in the queue is never ahead of now", () => {
  fc.assert(
    fc.property(fc.array(anyRequest, { maxLength: 30 }), (requests) => {
      const { decisions } = fold(...requests);
      const given: number[] = [];
      for (const [i, { rollout, verdict }] of decisions.entries()) {
        const request = requests[i];
        if (request?.type === "SequenceRequested" && verdict.outcome === "accepted") {
          for (let n = 0; n < request.value.count; n++) given.push((verdict.sequenceId ?? 0) + n);
        }
        if (rollout === undefined) continue;
        assert.ok(rollout.queued_at <= (t0 + i * 1000) * 1000);
        assert.ok(rollout.queued_at >= rollout.enqueued_at);
        assert.ok(!rollout.keeps_place || ["preparing", "running"].includes(rollout.status));
      }
      assert.equal(new Set(given).size, given.length);
    }),
    { numRuns: 300 },
  );
});

test("reading requests again that are in a fact changes nothing", () => {
  fc.assert(
    fc.property(fc.array(anyRequest, { maxLength: 20 }), (requests) => {
      const { rollout } = fold(...requests);
      if (rollout === undefined) return;
      const again = requests
        .map((request, offset) => ({ request, at: { partition: 0, offset, timestamp: t0 } }))
        .filter(({ at }) => at.offset <= rollout.request_offset)
        .reduce<RolloutChanged | undefined>(
          (state, { request, at }) => decide(state, request, at).rollout,
          rollout,
        );
      assert.deepEqual(again, rollout);
    }),
    { numRuns: 100 },
  );
});
