import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { packFloat64, packInt32 } from "../schemas/bytes.ts";
import { bundled } from "../schemas/records.ts";
import type { Attributes } from "../schemas/types.ts";
import { attributesFrom, attributesToObject, jsonText, noAttributes } from "./attributes.ts";

/** Through the bytes of a real record. */
function throughAvro(attributes: Attributes): Attributes {
  const { type } = bundled.SpanRecorded;
  const span = type.fromBuffer(type.toBuffer(spanWith(attributes)));
  return span.attributes;
}

function spanWith(attributes: Attributes): unknown {
  const text = { project: "p", rollout_id: "r", attempt_id: "a", trace_id: "t", span_id: "s" };
  const times = { start_time: 1, end_time: 2, start_nanos: 0, end_nanos: 0, flags: 0 };
  const none = { sequence_id: null, parent_id: null, status_message: null, extra: null };
  const scope = { resource_schema_url: "", scope_name: "", scope_version: "", trace_state: "" };
  const dropped = { dropped_attributes: 0, dropped_events: 0, dropped_links: 0 };
  const lists = { events: [], links: [], resource: noAttributes() };
  const rest = { name: "n", kind: "INTERNAL", status_code: "OK", attributes };
  return { ...text, ...times, ...none, ...scope, ...dropped, ...lists, ...rest };
}

test("every kind of value is kept under its own kind", () => {
  const attributes = attributesFrom({
    text: "t",
    count: 7,
    ratio: 0.5,
    bad: Number.NaN,
    flag: true,
    tokens: [1, 2, -3],
    logprobs: [0, -0.5],
    wide: [2 ** 40],
    names: ["a", "b"],
    nothing: null,
    nested: { a: [Number.POSITIVE_INFINITY, 2n ** 60n, Buffer.from([255])] },
    huge: 2n ** 60n,
    small: 5n,
    bytes: Buffer.from([1, 171]),
    absent: undefined,
  });
  assert.deepEqual(attributes, {
    strings: { text: "t", bytes: "01ab" },
    longs: { count: 7, small: 5 },
    doubles: { ratio: 0.5, bad: Number.NaN },
    booleans: { flag: true },
    int_lists: { tokens: packInt32([1, 2, -3]) },
    double_lists: { logprobs: packFloat64([0, -0.5]) },
    json: {
      wide: "[1099511627776]",
      names: '["a","b"]',
      nothing: "null",
      nested: '{"a":["Infinity","1152921504606846976","ff"]}',
      huge: "1152921504606846976",
    },
  });
});

test("a value that has no JSON becomes its text and never throws", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  assert.equal(jsonText(cycle), '"[object Object]"');
  assert.deepEqual(attributesFrom({ cycle }).json, { cycle: '"[object Object]"' });
});

test("an attribute called __proto__ is not lost", () => {
  const record = JSON.parse('{"__proto__": "x"}');
  assert.deepEqual(throughAvro(attributesFrom(record)).strings, { "__proto__.": "x" });
});

test("any JSON value comes back through Avro as it was", () => {
  const value = fc.jsonValue({ noUnicodeString: false });
  fc.assert(
    fc.property(fc.dictionary(fc.string(), value, { noNullPrototype: true }), (record) => {
      if (Object.hasOwn(record, "__proto__")) return;
      const back = attributesToObject(throughAvro(attributesFrom(record)));
      assert.deepEqual(JSON.parse(JSON.stringify(back)), JSON.parse(JSON.stringify(record)));
    }),
    { numRuns: 200 },
  );
});
