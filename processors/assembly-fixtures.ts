import fc from "fast-check";
import type { SpanRecorded } from "../schemas/types.ts";
import type { Driven, Input } from "./drive.ts";
import { input, markOf, t0, valuesOf } from "./fixtures.ts";
import { callOf, rewardOf, spanOf } from "./traces/fixtures.ts";

/** Inputs and outputs of the assembler, for its tests. */

export const week = 7 * 86_400_000;

/** A span in the log. */
export const span = (value: SpanRecorded, timestamp = t0) =>
  input({ type: "SpanRecorded", value }, timestamp);
/** The final mark in the log. */
export const mark = (fields: Parameters<typeof markOf>[0] = {}, timestamp = t0) =>
  input({ type: "AttemptEnded", value: markOf(fields) }, timestamp);
export const stepsOf = (driven: Driven) => valuesOf(driven.out, "StepRecorded");
export const closingsOf = (driven: Driven) => valuesOf(driven.out, "RolloutAssembled");

/** Revision, step and reward of every step written, in order. */
export const writtenSteps = (driven: Driven) =>
  stepsOf(driven).map(({ revision, span_id, reward }) => `${revision} ${span_id} ${reward}`);

/** A record a number of seconds after the rollout's end. */
export const late = (seconds: number, value: SpanRecorded) => span(value, t0 + seconds * 1000);

/** A call, a reward or an agent of few ids, so that parents and copies meet. */
export const anySpan: fc.Arbitrary<SpanRecorded> = fc
  .record({
    id: fc.constantFrom("a", "b", "c", "d", "e", "f", "g"),
    kind: fc.nat(3),
    start: fc.nat(6),
    length: fc.nat(3),
    parent: fc.option(fc.constantFrom("a", "b", "c", "d", "missing")),
    sequence: fc.option(fc.nat(8)),
    attempt: fc.constantFrom("at", "at", "at", "old"),
    response: fc.option(fc.constantFrom("x", "y"), { nil: undefined }),
    value: fc.constantFrom(0, 0.5, 1, Number.NaN),
  })
  .map(({ id, kind, start, length, parent, sequence, attempt, response, value }) => {
    const fields = { parent_id: parent, sequence_id: sequence, attempt_id: attempt };
    const attributes = response === undefined ? {} : { "gen_ai.response.id": response };
    if (kind < 2) return callOf(id, start, start + length, { ...fields, attributes });
    return kind === 2
      ? rewardOf(id, start, value, fields)
      : spanOf(id, start, start + length, { ...fields, attributes: { "agent.name": id } });
  });

/** Spans, and an order in which they and copies of some come. */
export const shuffled = fc.array(anySpan, { maxLength: 12 }).chain((spans) =>
  fc.record({
    spans: fc.constant(spans),
    order: fc.shuffledSubarray([...spans, ...spans.slice(0, 3)], { minLength: spans.length }),
  }),
);

/** Spans of two rollouts with final and other marks among them. */
export const anyLog: fc.Arbitrary<Input[]> = fc
  .tuple(
    fc.array(fc.tuple(anySpan, fc.constantFrom("ro", "ro2"), fc.nat(5000)), { maxLength: 12 }),
    fc.array(
      fc.record({ final: fc.boolean(), grace_seconds: fc.constantFrom(0, 3), at: fc.nat(12) }),
    ),
  )
  .map(([spans, marks]) => {
    let time = t0;
    const log = spans.map(([value, rollout_id, wait]) => {
      time += wait;
      return span({ ...value, rollout_id }, time);
    });
    for (const { at, final, grace_seconds } of marks) {
      const timestamp = log[at - 1]?.timestamp ?? t0;
      const fields = {
        final,
        grace_seconds,
        attempt_id: final ? "at" : "old",
        ended_at: timestamp * 1000,
      };
      if (at <= log.length) log.splice(at, 0, mark(fields, timestamp) as never);
    }
    return log;
  });
