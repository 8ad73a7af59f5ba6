import assert from "node:assert/strict";
import { test } from "node:test";
import { LightningError } from "../../schemas/errors.ts";
import { agentRows, defaultSelection, parseSelection, searchFor } from "./selection.ts";

function refusal(selection: unknown): string {
  try {
    parseSelection(typeof selection === "string" ? selection : JSON.stringify(selection));
  } catch (error) {
    assert.ok(error instanceof LightningError && error.code === "record-invalid");
    return error.message;
  }
  return "none";
}

test("what a selection does not say is filled in", () => {
  assert.deepEqual(parseSelection("{}"), defaultSelection);
  assert.deepEqual(parseSelection('{"agents":[{"match":"w"}],"reward_weights":{"fmt":2}}'), {
    ...defaultSelection,
    agents: [{ match: "w", policy: "" }],
    reward_weights: { fmt: 2 },
  });
  assert.equal(parseSelection('{"calls":null}').calls, null);
});

test("a selection that cannot be is refused, naming the field, what was read and what may stand there", () => {
  const refused: [unknown, RegExp][] = [
    ["[]", /^selection: read \[\], must be a JSON object/],
    ["no json", /^selection: read no json/],
    [{ agent: [] }, /^selection: read agent, must be the fields agents, calls, judges, repair/],
    [{ toString: 1 }, /^selection: read toString/],
    [{ agents: "writer" }, /^selection\.agents: read writer, must be a list/],
    [{ agents: ["writer"] }, /^selection\.agents\.0: read writer, must be an object/],
    [
      { agents: [{ match: "a" }, { match: "(" }] },
      /^selection\.agents\.1\.match: read \(, must be a reg/,
    ],
    [{ agents: [{ policy: "p" }] }, /^selection\.agents\.0\.match: read nothing/],
    [{ agents: [{ match: "a", policy: 1 }] }, /^selection\.agents\.0\.policy: read 1/],
    [
      { agents: [{ match: "a", name: "b" }] },
      /^selection\.agents\.0: read name, must be match and/,
    ],
    [{ calls: "(?=x)" }, /^selection\.calls: read \(\?=x\)/],
    [{ calls: "x".repeat(1001) }, /must be a regular expression of at most 1000 characters/],
    [
      { agents: Array(101).fill({ match: "a" }) },
      /must be a list of at most 100 \{match, policy\}/,
    ],
    [{ judges: "no" }, /^selection\.judges: read no, must be true or false/],
    [{ reward_match: "first" }, /^selection\.reward_match: read first, must be one of first-occ/],
    [{ reward_weights: [] }, /^selection\.reward_weights: read \[\], must be an object/],
    [{ reward_weights: { a: "1" } }, /^selection\.reward_weights\.a: read 1, must be a finite/],
  ];
  for (const [selection, message] of refused) assert.match(refusal(selection), message);
});

test("patterns are searched for, anywhere in a name, unless they are anchored", () => {
  const write = searchFor("write", "f");
  assert.deepEqual(["write_query", "rewrite", "wrote"].map(write), [true, true, false]);
  assert.deepEqual(["A", "A2", "BA"].map(searchFor("^A$", "f")), [true, false, false]);
});

test("a pattern that would take a backtracking engine for ever takes no time", () => {
  const started = process.cpuUsage();
  assert.equal(searchFor("(a+)+$", "f")(`${"a".repeat(20_000)}b`), false);
  const { user } = process.cpuUsage(started);
  assert.ok(user < 2_000_000, `took ${user} µs`);
});

test("the first row that matches an agent counts; without rows every call does", () => {
  const rowOf = agentRows([
    { match: "^writer$", policy: "a" },
    { match: "writ", policy: "b" },
  ]);
  assert.deepEqual(
    ["writer", "writer 2", "critic", null].map((name) => rowOf(name)?.policy),
    ["a", "b", undefined, undefined],
  );
  assert.deepEqual(
    ["x", null].map((name) => agentRows([])(name)?.policy),
    ["", ""],
  );
});
