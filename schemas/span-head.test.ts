import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "./errors.ts";
import { bundled } from "./records.ts";
import { spanHeadOf } from "./span-head.ts";
import type { Attributes, SpanRecorded } from "./types.ts";

const noAttributes: Attributes = {
  strings: {},
  longs: {},
  doubles: {},
  booleans: {},
  int_lists: {},
  double_lists: {},
  json: {},
};

const text = fc.string({ unit: "grapheme", maxLength: 300 });
const span = fc.record({
  project: text,
  rollout_id: text,
  attempt_id: text,
  sequence_id: fc.option(fc.maxSafeInteger().map((n) => Math.trunc(n / 2))),
  trace_id: text,
  span_id: text,
  parent_id: fc.option(text),
  name: text,
});

function wire(values: Partial<SpanRecorded>): Buffer {
  const value: SpanRecorded = {
    project: "p",
    rollout_id: "r",
    attempt_id: "a",
    sequence_id: null,
    trace_id: "t",
    span_id: "s",
    parent_id: null,
    name: "n",
    kind: "CLIENT",
    start_time: 1,
    end_time: 2,
    start_nanos: 0,
    end_nanos: 0,
    status_code: "OK",
    status_message: null,
    attributes: noAttributes,
    resource: noAttributes,
    resource_schema_url: "",
    scope_name: "",
    scope_version: "",
    trace_state: "",
    flags: 0,
    events: [],
    links: [],
    dropped_attributes: 0,
    dropped_events: 0,
    dropped_links: 0,
    extra: null,
    ...values,
  };
  return Buffer.concat([Buffer.alloc(5), bundled.SpanRecorded.type.toBuffer(value)]);
}

test("the head of a span reads as Avro reads the whole", () => {
  fc.assert(
    fc.property(span, (values) => {
      const bytes = wire(values);
      const whole = bundled.SpanRecorded.type.fromBuffer(bytes.subarray(5)) as SpanRecorded;
      assert.deepEqual(spanHeadOf(bytes), {
        project: whole.project,
        rolloutId: whole.rollout_id,
        attemptId: whole.attempt_id,
        sequenceId: whole.sequence_id,
        spanId: whole.span_id,
      });
    }),
  );
});

test("a head that is cut short is refused at every length, and never read beyond", () => {
  const bytes = wire({ project: "project", rollout_id: "rollout", span_id: "last" });
  const end = bytes.indexOf("last") + 4;
  for (let length = 5; length < end; length++) {
    assert.throws(
      () => spanHeadOf(bytes.subarray(0, length)),
      (error) => codeOf(error) === "record-malformed",
      `cut at ${length}`,
    );
  }
  assert.equal(spanHeadOf(bytes.subarray(0, end)).spanId, "last");
});

test("bytes that are no span are refused or read as something, and end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        spanHeadOf(Buffer.from(bytes));
      } catch (error) {
        assert.equal(codeOf(error), "record-malformed");
      }
    }),
  );
});
