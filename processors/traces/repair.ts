import { enclosing } from "./enclosing.ts";
import { type GrowingNode, preOrder, virtualRoot } from "./tree.ts";

/**
 * Puts spans below the span that encloses them in time (reference/v0.3-behaviour.md, 3.2): from the
 * root down to the first node with several children, and of those children each below the tightest
 * span that encloses it, as long as two are left. Two differences, both so that no call is lost:
 *
 * - A span is never put below what hangs below itself, where it would hang in the air (H6). The
 *   next tightest span takes it.
 * - Rewards that stand beside the one root with everything else, as those an agent returns do, do
 *   not hinder the repair below that root (H20).
 *
 * Of equally tight spans the first in the order of the tree takes it. O(n log n) for nested and for
 * concurrent work.
 */
export function repair(root: GrowingNode): void {
  const main = besideRewards(root);
  if (main !== null) settle(main);
  settle(root);
}

/** The one root that is no lone reward, when there are such beside it. */
function besideRewards(root: GrowingNode): GrowingNode | null {
  if (root.id !== virtualRoot || root.span !== null) return null;
  const others = root.children.filter(
    ({ span, children }) => children.length > 0 || span === null || span.reward === null,
  );
  const [main, second] = others;
  return second === undefined ? (main ?? null) : null;
}

function settle(from: GrowingNode): void {
  let node = from;
  for (let only = onlyChild(node); only !== null; only = onlyChild(node)) node = only;
  if (node.children.length > 1) adoptChildren(node);
}

function onlyChild({ children }: GrowingNode): GrowingNode | null {
  return children.length === 1 ? (children[0] ?? null) : null;
}

function adoptChildren(parent: GrowingNode): void {
  const { children } = parent;
  const tightest = enclosing(preOrder(parent).slice(1), children);
  const tops: Tops = { parent, above: undefined };
  let left = children.length;
  for (const child of children) {
    if (left === 1) break;
    const isLeaf = child.children.length === 0;
    const adopter = tightest(child, (node) => isLeaf || topOf(tops, node) !== child);
    if (adopter === null) continue;
    tops.above?.set(child, topOf(tops, adopter));
    adopter.children.push(child);
    child.parent = adopter;
    child.moved = true;
    left--;
  }
  parent.children = children.filter((child) => child.parent === parent);
}

/** What hangs where below the children of a node. */
type Tops = {
  readonly parent: GrowingNode;
  /** The way up from a node; made when first asked for, which for most trees is never. */
  above: Map<GrowingNode, GrowingNode> | undefined;
};

/** The child of the parent a node is, or hangs below. */
function topOf(tops: Tops, node: GrowingNode): GrowingNode {
  const { parent } = tops;
  tops.above ??= aboveAll(parent.children.filter((child) => child.parent === parent));
  const { above } = tops;
  let top = node;
  for (let next = above.get(top); next !== undefined; next = above.get(top)) top = next;
  let below = node;
  for (let next = above.get(below); next !== undefined && next !== top; next = above.get(below)) {
    above.set(below, top);
    below = next;
  }
  return top;
}

function aboveAll(tops: readonly GrowingNode[]): Map<GrowingNode, GrowingNode> {
  const above = new Map<GrowingNode, GrowingNode>();
  for (const top of tops) for (const node of preOrder(top)) if (node !== top) above.set(node, top);
  return above;
}
