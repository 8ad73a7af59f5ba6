import assert from "node:assert/strict";
import { test } from "node:test";
import type { SpanKept } from "../../schemas/types.ts";
import { onOneClock } from "./clocks.ts";
import { repair } from "./repair.ts";
import { kept, keptCall, keptReward, outcomeOf, traceOf } from "./trace-fixtures.ts";
import { inOrder, preOrder, type TraceNode, treeOf } from "./tree.ts";

type Shape = string | readonly [string, ...Shape[]];

/** A node's id, with its children when it has some. */
function shapeOf(node: TraceNode): Shape {
  return node.children.length === 0 ? node.id : [node.id, ...node.children.map(shapeOf)];
}

function tree(...spans: SpanKept[]): TraceNode {
  const root = treeOf(inOrder(onOneClock(spans)));
  assert.ok(root !== null);
  return root;
}

function repaired(...spans: SpanKept[]): Shape {
  const root = treeOf(inOrder(onOneClock(spans)));
  assert.ok(root !== null);
  repair(root);
  return shapeOf(root);
}

test("children stand in the order of sequence ids, or of starts where one has none", () => {
  const children = (...sequences: (number | null)[]) =>
    shapeOf(
      tree(
        kept("root", 0, 9, { sequence_id: 9 }),
        ...sequences.map((sequence_id, i) =>
          kept(`${i}`, i, i, { parent_id: "root", sequence_id }),
        ),
      ),
    );
  assert.deepEqual(children(3, 1, 2), ["root", "1", "2", "0"]);
  assert.deepEqual(children(3, null, 2), ["root", "0", "1", "2"]);
  assert.deepEqual(children(3, 3, 2), ["root", "0", "1", "2"]);
});

test("parents that never came and several roots have stand-ins over all below them", () => {
  const root = tree(
    kept("late", 8, 9),
    kept("a", 3, 4, { parent_id: "ghost" }),
    kept("b", 1, 6, { parent_id: "ghost" }),
  );
  assert.deepEqual(shapeOf(root), ["virtual-root", "late", ["ghost", "b", "a"]]);
  assert.deepEqual([root.start, root.end, root.name], [1, 9, "virtual-root"]);
  const ghost = root.children[1];
  assert.deepEqual([ghost?.start, ghost?.end, ghost?.name], [1, 6, "agentlightning.virtual"]);
});

test("parents in a circle lose nothing: the first of the circle stands above the others", () => {
  const root = tree(
    kept("root", 0, 9),
    kept("c", 3, 3, { parent_id: "b" }),
    kept("b", 2, 2, { parent_id: "a" }),
    kept("a", 1, 1, { parent_id: "c" }),
    kept("below", 4, 4, { parent_id: "b" }),
    kept("itself", 5, 5, { parent_id: "itself" }),
  );
  assert.deepEqual(shapeOf(root), ["virtual-root", "root", ["a", ["b", "c", "below"]], "itself"]);
});

test("repair puts a call below the tightest span that encloses it, not below one of its length", () => {
  const spans = [
    kept("root", 0, 100),
    kept("wide", 0, 50, { parent_id: "root" }),
    kept("tight", 5, 20, { parent_id: "root" }),
    kept("same", 10, 12, { parent_id: "root" }),
    keptCall("call", 10, 12, { parent_id: "root" }),
    kept("outside", 60, 70, { parent_id: "root" }),
  ];
  assert.deepEqual(repaired(...spans), ["root", ["wide", ["tight", "call", "same"]], "outside"]);
});

test("repair goes down to the first node with several children and stops when one child is left", () => {
  const spans = [
    kept("session", 0, 100),
    kept("agent", 0, 90, { parent_id: "session" }),
    kept("a", 1, 10, { parent_id: "agent" }),
    kept("b", 2, 3, { parent_id: "agent" }),
  ];
  assert.deepEqual(repaired(...spans), ["session", ["agent", ["a", "b"]]]);
});

test("a span whose descendant outlives it is put below the next tightest span, not lost", () => {
  const spans = [
    kept("root", 0, 100),
    kept("agent", 0, 50, { parent_id: "root", agent: "writer" }),
    keptCall("call", 10, 20, { parent_id: "root" }),
    kept("tool", 10, 30, { parent_id: "call" }),
  ];
  assert.deepEqual(repaired(...spans), ["root", ["agent", ["call", "tool"]]]);
  const { calls } = traceOf(spans, { agents: [{ match: "writer", policy: "p" }] });
  assert.deepEqual(
    calls.map(({ span }) => span.span_id),
    ["call"],
  );
});

test("two spans are not put below each other's descendants", () => {
  const spans = [
    kept("root", 0, 100),
    kept("a", 10, 20, { parent_id: "root" }),
    kept("under a", 10, 31, { parent_id: "a" }),
    kept("b", 10, 30, { parent_id: "root" }),
    kept("under b", 9, 20, { parent_id: "b" }),
    kept("far", 90, 99, { parent_id: "root" }),
  ];
  const root = treeOf(inOrder(onOneClock(spans)));
  assert.ok(root !== null);
  repair(root);
  assert.equal(preOrder(root).length, spans.length);
});

test("a reward an agent returned, a second root, does not keep its calls from their agent", () => {
  const spans = [
    kept("session", 0, 100),
    kept("agent", 10, 50, { parent_id: "session", agent: "writer" }),
    keptCall("call", 20, 30, { parent_id: "session" }),
  ];
  const selection = { agents: [{ match: "writer", policy: "p" }] };
  const returned = keptReward("returned", 101, 1);
  assert.deepEqual(
    traceOf([...spans, returned], selection).calls.map(({ agent, reward }) => [agent, reward]),
    [["writer", 1]],
  );
});

test("without repair a call stays where its parent says", () => {
  const spans = [
    kept("root", 0, 100),
    kept("agent", 0, 50, { parent_id: "root", agent: "writer" }),
    keptCall("call", 10, 20, { parent_id: "root" }),
  ];
  const agentOf = (repair: boolean) => traceOf(spans, { repair }).calls.map(({ agent }) => agent);
  assert.deepEqual([agentOf(true), agentOf(false)], [["writer"], [""]]);
});

test("no spans are an empty trace that says so", () => {
  assert.deepEqual(outcomeOf(traceOf([])), {
    calls: [],
    omitted: [
      [
        undefined,
        { agent: "", reason: "no-calls", detail: "no span is an LLM call of a known convention" },
      ],
    ],
    unmatched: [],
    final: undefined,
  });
});
