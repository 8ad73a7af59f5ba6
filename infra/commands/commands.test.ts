import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { rewardMatchDocs } from "../../processors/traces/selection.ts";
import { questions } from "../../sinks/clickhouse/questions.ts";
import { variables } from "../config.ts";
import { readers, roleNames, roles } from "../roles.ts";
import { whyAllUnreachable } from "./command.ts";
import { commands } from "./commands.ts";
import { readAction, readOptions } from "./dead-letters.ts";
import { helpText } from "./help.ts";
import { chosenReaders, lagOf, unreadRange } from "./lag.ts";
import { cellsOfTsv, findQuestion, formatOf } from "./sql.ts";
import { formatTable, printable } from "./table.ts";
import { topicRow } from "./topics.ts";

const wrong = (pattern: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, "request-invalid");
  assert.match((error as Error).message, pattern);
  return true;
};

describe("help", () => {
  test("names every command and every role, and where settings are explained", () => {
    const text = helpText();
    for (const name of [...Object.keys(commands), ...roleNames]) assert.ok(text.includes(name));
    for (const name of roleNames) assert.ok(text.includes(roles[name].doc));
    assert.match(text, /lightning help settings/);
  });

  test("explains every setting with its default, and which are secret", () => {
    const text = helpText("settings");
    for (const [name, { doc, allowed }] of Object.entries(variables)) {
      for (const part of [name, doc, allowed]) assert.ok(text.includes(part), part);
    }
    assert.match(text, /KAFKA_SASL_PASSWORD .*\n.*never printed/);
  });

  test("explains every way in which rewards find their calls", () => {
    const text = helpText("credit");
    for (const [name, doc] of Object.entries(rewardMatchDocs)) {
      assert.ok(text.includes(`${name.padEnd(17)}  ${doc}`), name);
    }
  });

  test("exists for every command and role, and says what there is for others", () => {
    for (const [name, { usage }] of Object.entries(commands)) {
      assert.ok(helpText(name).includes(usage));
      assert.ok(usage.startsWith(`lightning ${name}`));
    }
    for (const name of roleNames) assert.ok(helpText(name).includes(`lightning ${name}`));
    assert.throws(() => helpText("nonsense"), wrong(/"nonsense".*settings.*up.*gateway/));
  });

  test("fits a terminal of 120 columns", () => {
    const lines = helpText().split("\n");
    assert.deepEqual(
      lines.filter((line) => line.length > 120),
      [],
    );
  });
});

describe("tables", () => {
  test("align numbers right and text left, under their headings", () => {
    const text = formatTable(
      ["name", "count"],
      [
        ["spans", 1200],
        ["x", 7],
      ],
    );
    assert.equal(text, "name   count\n─────  ─────\nspans  1,200\nx          7");
  });

  test("count wide characters twice and shorten what is too long", () => {
    const text = formatTable(["a", "b"], [["会议室", "end"]], { maxWidth: 5 });
    assert.equal(text.split("\n")[2], "会议…  end");
  });

  test("let nothing through that steers a terminal", () => {
    assert.equal(printable("a\u001b[31m\u009b\u202e\r"), "a\\x1b[31m\\x9b\\u202e\\x0d");
    fc.assert(
      fc.property(fc.array(fc.array(fc.string({ unit: "binary" }))), (rows) => {
        const text = formatTable(["a", "b", "c"], rows);
        assert.doesNotMatch(text.replaceAll("\n", ""), /\p{Cc}/u);
      }),
    );
  });

  test("have one line for each row, whatever the cells hold", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.integer())), (rows) => {
        assert.equal(formatTable(["a", "b"], rows).split("\n").length, rows.length + 2);
      }),
    );
  });
});

describe("lightning sql", () => {
  test("takes short names of formats in any case, and names those it knows", () => {
    assert.equal(formatOf("csv"), "CSVWithNames");
    assert.equal(formatOf("JSON"), "JSON");
    assert.equal(formatOf("vertical"), "Vertical");
    assert.equal(formatOf("Table"), "table");
    assert.throws(() => formatOf("xml"), wrong(/--format is "xml".*table, json.*Vertical/));
  });

  test("finds every question under its name with dashes or spaces", () => {
    const known = questions();
    assert.ok(known.length >= 10);
    for (const { name } of known) {
      assert.equal(findQuestion(known, name).name, name);
      assert.equal(findQuestion(known, name.replaceAll(" ", "-").toUpperCase()).name, name);
    }
    assert.throws(() => findQuestion(known, "why"), wrong(/"why".*trace-of-a-rollout/));
  });

  test("tells NULL from the text that looks like it", () => {
    assert.deepEqual(cellsOfTsv("1\t\\N\t\\\\N\t['a']"), ["1", "NULL", "\\\\N", "['a']"]);
    assert.deepEqual(cellsOfTsv("it\\'s"), ["it's"]);
  });

  test("refuses a call without a query before it looks for a server", async () => {
    const run = commands.sql?.run ?? assert.fail();
    await assert.rejects(run(["--format", "xml"]), wrong(/--format/));
  });
});

describe("lightning lag", () => {
  const place = {
    reader: "clickhouse",
    topic: "spans",
    members: 1,
    offsets: { partition: 2, earliest: 10, latest: 20 },
  };
  const unread = { records: 3, exact: true, heldBack: 0 };

  test("looks at the offsets from the position, or from the earliest there is, to the end", () => {
    assert.deepEqual(unreadRange(place.offsets, 15), { from: 15, to: 20 });
    assert.deepEqual(unreadRange(place.offsets, null), { from: 10, to: 20 });
    assert.deepEqual(unreadRange(place.offsets, 4), { from: 10, to: 20 });
  });

  test("says what retention took away unread", () => {
    assert.equal(lagOf({ ...place, position: 15 }, unread).lost, 0);
    assert.equal(lagOf({ ...place, position: 4 }, unread).lost, 6);
    assert.equal(lagOf({ ...place, position: null }, unread).lost, 10);
    assert.equal(lagOf({ ...place, position: 15 }, unread).lag, 3);
  });

  test("takes readers by name and names those there are", () => {
    const all = readers.map(({ name }) => name);
    assert.deepEqual(chosenReaders([]), all);
    assert.deepEqual(chosenReaders(["trainer", "clickhouse"]), ["clickhouse", "trainer"]);
    assert.throws(() => chosenReaders(["gateway"]), wrong(/"gateway".*assign-credit/));
  });
});

describe("lightning topics", () => {
  const plan = { name: "spans", partitions: 2, cleanup: "delete" } as const;

  test("tells a topic that is missing from one of another size", () => {
    assert.equal(topicRow(plan, undefined).status, "missing");
    const facts = {
      name: "spans",
      partitions: [{ partition: 0, earliest: 5, latest: 9 }],
      replication: 1,
      cleanup: "delete",
      timestampType: "LogAppendTime",
      maxMessageBytes: 1,
    };
    const row = topicRow(plan, facts);
    assert.equal(row.status, "mismatch");
    assert.equal(row.records, 4);
    assert.match(row.holds, /SpanRecorded, AttemptEnded; by project\/rollout id/);
  });
});

describe("lightning dead-letters", () => {
  const options = { offset: null, all: false };

  test("replays nothing unless told which", () => {
    assert.throws(() => readAction(["replay", "clickhouse"], options), wrong(/--offset N.*--all/));
    const told = readAction(["replay", "clickhouse"], { ...options, all: true });
    assert.deepEqual(told, { action: "replay", reader: "clickhouse" });
  });

  test("says what is unknown, missing or too much", () => {
    assert.throws(() => readAction(["drop"], options), wrong(/"drop".*list, show, replay/));
    assert.throws(() => readAction(["show"], options), wrong(/no reader.*clickhouse/));
    assert.throws(() => readAction(["show", "gateway"], options), wrong(/"gateway".*clickhouse/));
    assert.throws(() => readAction(["list", "clickhouse"], options), wrong(/too many/));
    assert.throws(() => readOptions({ offset: "-1" }), wrong(/--offset is "-1".*whole number/));
    assert.throws(() => readOptions({ offset: "1", all: true }), wrong(/--offset names one/));
  });
});

test("a broker that nobody runs is told with its address and the reason", async () => {
  assert.match((await whyAllUnreachable(["127.0.0.1:1"])) ?? "", /127\.0\.0\.1:1: nothing listens/);
});
