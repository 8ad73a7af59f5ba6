import { unpackInt32 } from "../../schemas/bytes.ts";
import type { MemberStep } from "./strategy.ts";

/** A stretch of tokens the same rollouts share; its parent's stretch ends where it starts. */
export type TokenNode = {
  readonly children: Map<number, TokenNode>;
  parent: TokenNode | null;
  /** The stretch, from the token number `start` of every sequence through here up to `end`. */
  tokens: Int32Array;
  start: number;
  readonly end: number;
  /** Rollouts that run through here, and the sum of their values. */
  rollouts: number;
  sum: number;
  /** The rollout counted last, so that its other sequences do not count it again. */
  last: number;
};

/** The empty prefix. */
export function createTokenTree(): TokenNode {
  return nodeOf(new Int32Array(0), 0, null);
}

/** Token ids of a step's state followed by those of its action. */
export function tokensOf({ prompt_ids, response_ids }: MemberStep): Int32Array {
  return unpackInt32(Buffer.concat([prompt_ids, response_ids]));
}

/** Counts a rollout in a node once. */
export function countRollout(node: TokenNode, rollout: number, value: number): void {
  if (node.last === rollout) return;
  node.last = rollout;
  node.rollouts += 1;
  node.sum += value;
}

/**
 * Adds one sequence of a rollout; all sequences of a rollout come one after another. Costs the
 * length of the sequence.
 */
export function addSequence(
  root: TokenNode,
  tokens: Int32Array,
  rollout: number,
  value: number,
): void {
  let node = root;
  for (let at = 0; at < tokens.length; at = node.end) {
    const child = node.children.get(tokens[at] ?? 0);
    if (child === undefined) {
      // A copy of the stretch alone: contexts that grow would else be kept whole, each of them.
      const leaf = nodeOf(tokens.slice(at), at, node);
      countRollout(leaf, rollout, value);
      node.children.set(tokens[at] ?? 0, leaf);
      return;
    }
    node = splitAt(child, sharedUntil(child, tokens));
    countRollout(node, rollout, value);
  }
}

/** The node that holds the last of the first `length` tokens of an added sequence. */
export function nodeAt(from: TokenNode, tokens: Int32Array, length: number): TokenNode {
  let node = from;
  while (node.end < length) {
    const child = node.children.get(tokens[node.end] ?? 0);
    if (child === undefined) return node;
    node = child;
  }
  return node;
}

/** The longest prefix of a node that more rollouts share; null when there is none. */
export function branchAbove(node: TokenNode): TokenNode | null {
  let above = node.parent;
  while (above !== null && above.rollouts === node.rollouts) above = above.parent;
  return above;
}

function nodeOf(tokens: Int32Array, start: number, parent: TokenNode | null): TokenNode {
  const end = start + tokens.length;
  return { children: new Map(), parent, tokens, start, end, rollouts: 0, sum: 0, last: -1 };
}

function sharedUntil({ tokens: own, start, end }: TokenNode, tokens: Int32Array): number {
  const most = Math.min(end, tokens.length);
  let at = start + 1;
  while (at < most && own[at - start] === tokens[at]) at++;
  return at;
}

/** The part of a node before `at`: itself, or a new node above what is left of it. */
function splitAt(node: TokenNode, at: number): TokenNode {
  const { parent, tokens, start, end, rollouts, sum, last } = node;
  if (at === end) return node;
  const rest = tokens.subarray(at - start);
  const head: TokenNode = {
    ...{ parent, start, end: at, rollouts, sum, last },
    tokens: tokens.subarray(0, at - start),
    children: new Map([[rest[0] ?? 0, node]]),
  };
  parent?.children.set(tokens[0] ?? 0, head);
  node.parent = head;
  node.start = at;
  node.tokens = rest;
  return head;
}
