import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { LightningError } from "../../schemas/errors.ts";
import { byAttempt, readSpans } from "./read-spans.ts";
import { documentsOf } from "./span-lines.ts";

const folder = mkdtempSync(join(tmpdir(), "lightning-spans-"));
after(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function fileOf(text: string | Buffer): string {
  const file = join(folder, `${files++}.json`);
  writeFileSync(file, text);
  return file;
}

const read = (text: string | Buffer) => readSpans(fileOf(text));

const spanOf = (span_id: string, more: object = {}) => ({
  rollout_id: "ro",
  attempt_id: "at",
  sequence_id: 1,
  trace_id: "t",
  span_id,
  parent_id: null,
  name: "x",
  status: { status_code: "OK", description: null },
  attributes: { whole: 1, list: [1, 2] },
  events: [],
  links: [],
  start_time: 1.5,
  end_time: 2.5,
  context: { trace_id: "t", span_id, is_remote: false, trace_state: {} },
  parent: null,
  resource: { attributes: {}, schema_url: "" },
  ...more,
});

const two = [spanOf("a"), spanOf("b", { name: "line\u2028break" })];

describe("spans of the store's form", () => {
  const list = JSON.stringify(two);
  const forms: Readonly<Record<string, string | Buffer>> = {
    "a list on one line": list,
    "a list over many lines": JSON.stringify(two, null, 2),
    "a page": JSON.stringify({ items: two, limit: -1, offset: 0, total: 2 }),
    "a page over many lines": JSON.stringify({ total: 2, items: two }, null, 1),
    "one per line": two.map((span) => JSON.stringify(span)).join("\n"),
    "one per line, the last one ended": `${two.map((span) => JSON.stringify(span)).join("\n")}\n`,
    "one per line, as Windows ends them": two.map((span) => JSON.stringify(span)).join("\r\n"),
    "lines with blank ones between": two.map((span) => ` \n${JSON.stringify(span)}\n\n`).join(""),
    "a list per line": two.map((span) => JSON.stringify([span])).join("\n"),
    "behind a byte order mark": Buffer.from(`\ufeff${list}`),
  };
  for (const [form, text] of Object.entries(forms)) {
    test(`are read from ${form}`, async () => {
      const { spans, events } = await read(text);
      assert.deepEqual(events, []);
      assert.deepEqual(
        spans.map(({ span_id, name, start_time }) => [span_id, name, start_time]),
        [
          ["a", "x", 1_500_000],
          ["b", "line\u2028break", 1_500_000],
        ],
      );
    });
  }

  test("keep each number the kind it was written as, and Python's NaN", async () => {
    const text = JSON.stringify(spanOf("a")).replace(
      '"whole":1',
      '"whole":1,"float":1.0,"nan":NaN',
    );
    const { attributes } = (await read(text)).spans[0] ?? assert.fail();
    assert.deepEqual(attributes.longs, { whole: 1 });
    assert.deepEqual(attributes.doubles, { float: 1, nan: Number.NaN });
  });

  test("may leave out what says nothing, and have no sequence id then", async () => {
    const { spans } = await read(
      '{"span_id":"a","name":"x","attributes":{},"start_time":1,"end_time":null}',
    );
    const [span] = spans;
    assert.deepEqual(
      [span?.rollout_id, span?.sequence_id, span?.parent_id, span?.status_code, span?.end_time],
      ["unnamed", null, null, "UNSET", 0],
    );
  });

  test("keep attributes the store refuses: objects, mixed lists, null", async () => {
    const attributes = { object: { a: [1] }, mixed: [1, "a"], nothing: null, text: "x" };
    const { spans } = await read(JSON.stringify(spanOf("a", { attributes })));
    const [span] = spans;
    assert.deepEqual(span?.attributes.json, {
      object: '{"a":[1]}',
      mixed: '[1,"a"]',
      nothing: "null",
    });
    assert.deepEqual(span?.attributes.strings, { text: "x" });
  });
});

const otlp = (spanId: string, attributes: readonly object[] = []) => ({
  resourceSpans: [
    {
      scopeSpans: [
        {
          spans: [
            {
              traceId: "0123456789abcdef0123456789abcdef",
              spanId,
              name: "x",
              startTimeUnixNano: "1500000000",
              attributes,
            },
          ],
        },
      ],
    },
  ],
});

describe("OTLP JSON", () => {
  const id = "0123456789abcdef";

  test("is read whole and one request per line, as a collector writes files", async () => {
    const lines = `${JSON.stringify(otlp(id))}\n${JSON.stringify(otlp("fedcba9876543210"))}\n`;
    for (const [text, count] of [
      [JSON.stringify(otlp(id), null, 2), 1],
      [lines, 2],
    ] as const) {
      const { spans } = await read(text);
      assert.deepEqual(
        [spans.length, spans[0]?.span_id, spans[0]?.start_time],
        [count, id, 1_500_000],
      );
    }
  });

  test("says where its spans belong by their attributes, else they are unnamed", async () => {
    const attributes = [
      { key: "agentlightning.rollout_id", value: { stringValue: "ro" } },
      { key: "agentlightning.span_sequence_id", value: { intValue: "7" } },
    ];
    const { spans } = await read(JSON.stringify([otlp(id, attributes), otlp(id)]));
    assert.deepEqual(
      spans.map(({ rollout_id, attempt_id, sequence_id }) => [rollout_id, attempt_id, sequence_id]),
      [
        ["ro", "unnamed", 7],
        ["unnamed", "unnamed", null],
      ],
    );
  });
});

test("events of a 1.0 gateway are kept as they are, in their order", async () => {
  const events = [
    { event_type: "model_request", rollout_id: "r", attempt_id: "0", timestamp: 1, data: { a: 1 } },
    { event_type: "reward", data: { value: 1 } },
  ];
  const { spans, events: found } = await read(JSON.stringify(events));
  assert.deepEqual(spans, []);
  assert.deepEqual(found, [
    events[0],
    { ...events[1], rollout_id: "unnamed", attempt_id: "unnamed" },
  ]);
});

test("only the rollout that is wanted is kept, and attempts stand in the order they appear", async () => {
  const all = [spanOf("a"), spanOf("b", { rollout_id: "other" }), spanOf("c")];
  const text = JSON.stringify([...all, spanOf("d", { attempt_id: "at2" })]);
  const { spans } = await readSpans(fileOf(text), (rollout) => rollout === "ro");
  const attempts = byAttempt(spans).map(({ attempt_id, items }) => [
    attempt_id,
    items.map(({ span_id }) => span_id).join(),
  ]);
  assert.deepEqual(attempts, [
    ["at", "a,c"],
    ["at2", "d"],
  ]);
});

const good = JSON.stringify(spanOf("a"));
const lineWith = (more: object): string => `${good}\n${JSON.stringify(spanOf("b", more))}`;

for (const [what, text, message] of [
  [
    "a wrong time in a line",
    lineWith({ start_time: "soon" }),
    /, line 2, start_time is "soon": Input/,
  ],
  ["a missing field in a line", `${good}\n{"span_id":"b"}`, /, line 2, start_time is missing$/],
  [
    "a wrong field deep in a list",
    JSON.stringify([spanOf("a"), spanOf("b", { status: { status_code: "GOOD" } })], null, 1),
    /\.json, \[1\]\.status\.status_code is "GOOD": Input should be 'UNSET', 'OK' or 'ERROR'/,
  ],
  [
    "a wrong field in a page",
    JSON.stringify({ items: [spanOf("a", { sequence_id: "x" })] }),
    /, line 1, items\[0\]\.sequence_id is "x"/,
  ],
  ["an object of no known form", '{"a": 1}', /, line 1 is an object with a; allowed is a span/],
  ["a number", "7", /, line 1 is 7; allowed is a span/],
  ["OTLP of a wrong type", '{"resourceSpans": 1}', /, line 1: resourceSpans/],
  [
    "OTLP without ids",
    JSON.stringify(otlp("xyz")),
    /, line 1: span "x": span_id must have 8 bytes/,
  ],
  ["an event of a wrong type", '{"event_type": 1}', /, line 1, event_type is 1: allowed is a text/],
  [
    "an event without data",
    '{"event_type": "a", "data": 1}',
    /, line 1, data is 1: allowed is an object/,
  ],
  [
    "a line that is no JSON",
    `${good}\n{"span_id": oops}`,
    /, line 2, column 13: no JSON: "oops}" cannot/,
  ],
  [
    "a document that is no JSON",
    '[\n {"a": 1},\n oops\n]',
    /, line 3, column 2: no JSON: "oops\\n\]"/,
  ],
  [
    "a document that is cut off",
    '[\n {"a": "b',
    /, line 2, column 10: no JSON: the text ends too early/,
  ],
  ["a mistake behind a NaN", '{"a": NaN, "b": }', /, line 1, column 17: no JSON: "}" cannot stand/],
] as const) {
  test(`${what} is named with its place`, async () => {
    await assert.rejects(read(text), (error) => {
      assert.ok(error instanceof LightningError, String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

test("a file that is not there is named", async () => {
  await assert.rejects(
    readSpans("/no/such.json"),
    /^LightningError: \/no\/such\.json: there is no such file$/,
  );
});

test("a value, and a file, that is too long is refused before it fills the memory", async () => {
  const file = fileOf(`${good}\n${good}\n${good}`);
  await assert.rejects(
    readSpans(file, () => true, 2 * good.length),
    /holds more than \d+ characters.*--rollout/,
  );
  assert.equal((await readSpans(file, () => true, 3 * good.length)).spans.length, 3);
  assert.deepEqual((await readSpans(file, () => false, 0)).spans, []);
  const drain = async (path: string, longest: number): Promise<void> => {
    for await (const { at } of documentsOf(path, longest)) assert.match(at, /line \d$/);
  };
  await drain(file, 5000);
  await assert.rejects(drain(fileOf(JSON.stringify(two, null, 2)), 500), /longer than 500 bytes/);
  await assert.rejects(drain(fileOf("x".repeat(5000)), 500), /longer than 500 bytes: write one/);
});
