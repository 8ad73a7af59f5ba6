import type { TimedSpan } from "../traces/clocks.ts";
import { type GrowingNode, preOrder } from "../traces/tree.ts";
import { ours, type Reading } from "./tracer.ts";

/**
 * Ways in which the reference reads a trace and we do not. Only deviations.ts reads so, to say which
 * of them makes a difference.
 */
export const referenceHabits = {
  /** Triplets in the order of the repaired tree (H7). */
  treeOrder: { arrange: (calls) => calls },
  /** Spans in the order of the list, whatever they say of themselves. */
  listOrder: { order: (spans) => spans.map(timed) },
  /** Hierarchy repair that detaches spans, and stops beside rewards an agent returned (H6, H20). */
  lossyRepair: { repair: repairAsReference },
} as const satisfies Readonly<Record<string, Partial<Reading>>>;

export type ReferenceHabit = keyof typeof referenceHabits;

/** Our way of reading but for these habits. */
export function readingWith(habits: readonly ReferenceHabit[]): Reading {
  return Object.assign({ ...ours }, ...habits.map((habit) => referenceHabits[habit]));
}

/** A reading in which the stand-ins of parents that never came stand in this order. */
export function readingInOrder(reading: Reading, absent: readonly string[]): Reading {
  return {
    ...reading,
    order: (spans) => {
      const ordered = reading.order(spans);
      const below = (parent: string) => ordered.filter(({ span }) => span.parent_id === parent);
      const others = ordered.filter(({ span }) => !absent.includes(span.parent_id ?? ""));
      return [...absent.flatMap(below), ...others];
    },
  };
}

function timed(span: TimedSpan["span"]): TimedSpan {
  return { span, start: span.start_time, end: span.end_time };
}

/** reference/v0.3-behaviour.md, 3.2, to the letter; quadratic. */
export function repairAsReference(root: GrowingNode): void {
  let node = root;
  for (let only = node.children[0]; node.children.length === 1 && only; only = node.children[0]) {
    node = only;
  }
  for (const child of [...node.children]) {
    if (node.children.length === 1) return;
    const adopter = adopterOf(node, child);
    if (adopter === null) continue;
    node.children = node.children.filter((other) => other !== child);
    adopter.children.push(child);
    child.parent = adopter;
    child.moved = true;
  }
}

/** Also a span below the child itself: then both hang in the air. */
function adopterOf(parent: GrowingNode, child: GrowingNode): GrowingNode | null {
  let best: GrowingNode | null = null;
  let least = Infinity;
  for (const node of preOrder(parent)) {
    if (node === parent || node === child) continue;
    if (node.start > child.start || node.end < child.end) continue;
    const slack = node.end - child.end + (child.start - node.start);
    if (slack > 0 && slack < least) [best, least] = [node, slack];
  }
  return best;
}
