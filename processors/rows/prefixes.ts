/**
 * Which row a turn goes on with. A row's context is everything its last turn saw and said; a turn
 * continues a row when the turn's prompt starts with that context, token for token.
 */
export type OpenPrefixes = {
  /**
   * Finds the row and leaves the turn's own context open in its place. Turns are numbered from 0.
   */
  place(turn: number, prompt: Int32Array, response: Int32Array): Placed;
};

export type Placed = {
  /** The turn whose context the prompt starts with; null: the turn begins a row. */
  readonly after: number | null;
  /**
   * The earlier turn that it comes from, as far as tokens tell: of those whose whole context it
   * starts with the one with the longest, else the one with the longest common prefix; of equals the
   * last; -1: there is none.
   */
  readonly near: number;
};

/** A point of the tree of contexts; the edge that leads to it is `tokens[from..to)`. */
type Node = {
  tokens: Int32Array;
  from: number;
  to: number;
  /** By the first token of their edges. */
  children: Map<number, Node>;
  /** Turns whose context ends here and that no turn has continued. */
  open: number[];
  /** The last turn whose context ends here, continued or not; -1: none. */
  ended: number;
  /** The last turn whose context runs through here. */
  last: number;
};

/** How far a walk has come: `at` is a position in the node's edge; `before` was its `last`. */
type Walk = { node: Node; at: number; before: number };

const noTokens = new Int32Array(0);

const nodeOf = (tokens: Int32Array, from: number, to: number, last: number): Node => ({
  tokens,
  from,
  to,
  children: new Map(),
  open: [],
  ended: -1,
  last,
});

/** The deepest nodes of a walk: where a context is open, and where any ended. */
type Deepest = { open: Node | null; ended: number };

const nothing = (): Deepest => ({ open: null, ended: -1 });

/**
 * All contexts stay open; the longest one that fits wins, of equals the one opened last, so that
 * interleaved conversations (sub-agents, best-of-n) each keep their row. The contexts share one
 * radix tree: a turn costs as many comparisons as it has tokens, however many contexts there are.
 * A context of no tokens fits nothing: it would swallow any turn whole.
 */
export function severalOpenPrefixes(): OpenPrefixes {
  const root = nodeOf(noTokens, 0, 0, -1);
  return {
    place(turn, prompt, response) {
      const walk: Walk = { node: root, at: 0, before: root.last };
      root.last = turn;
      const deepest = nothing();
      const shared = follow(walk, prompt, turn, deepest);
      const near = deepest.ended >= 0 ? deepest.ended : walk.before;
      const after = deepest.open?.open.pop() ?? null;
      grow(walk, prompt, shared, turn);
      const said = follow(walk, response, turn, nothing());
      grow(walk, response, said, turn);
      if (walk.node !== root) {
        walk.node.open.push(turn);
        walk.node.ended = turn;
      }
      return { after, near };
    },
  };
}

/** Walks down as long as the tokens agree; returns how many did, and notes the deepest nodes. */
function follow(walk: Walk, tokens: Int32Array, turn: number, deepest: Deepest) {
  let i = 0;
  while (true) {
    const { node } = walk;
    const end = Math.min(node.to, walk.at + tokens.length - i);
    const edge = node.tokens;
    let { at } = walk;
    while (at < end && edge[at] === tokens[i]) {
      at += 1;
      i += 1;
    }
    walk.at = at;
    if (at < node.to) return i;
    if (node.open.length > 0) deepest.open = node;
    if (node.ended >= 0) deepest.ended = node.ended;
    const next = i < tokens.length ? node.children.get(tokens[i] ?? 0) : undefined;
    if (next === undefined) return i;
    walk.node = next;
    walk.at = next.from;
    walk.before = next.last;
    next.last = turn;
  }
}

/** Makes the walk end at a node of its own behind `tokens[from..]`. */
function grow(walk: Walk, tokens: Int32Array, from: number, turn: number): void {
  const { node, at } = walk;
  if (at < node.to) {
    const lower = { ...node, from: at, last: walk.before };
    node.to = at;
    node.open = [];
    node.ended = -1;
    node.children = new Map([[node.tokens[at] ?? 0, lower]]);
  }
  if (from === tokens.length) return;
  const leaf = nodeOf(tokens, from, tokens.length, turn);
  node.children.set(tokens[from] ?? 0, leaf);
  walk.node = leaf;
  walk.at = leaf.to;
  walk.before = turn;
}

/** Only the context of the turn before is open: the rule of agentlightning 0.3 and 1.0. */
export function oneOpenPrefix(): OpenPrefixes {
  let before: readonly [Int32Array, Int32Array] | null = null;
  return {
    place(turn, prompt, response) {
      const fits = before !== null && startsWith(prompt, before[0], before[1]);
      before = [prompt, response];
      return { after: fits ? turn - 1 : null, near: turn - 1 };
    },
  };
}

/** Whether the tokens begin with `head` and, right behind it, `tail`. */
export function startsWith(tokens: Int32Array, head: Int32Array, tail: Int32Array): boolean {
  if (tokens.length < head.length + tail.length) return false;
  return sharedFrom(tokens, 0, head) === head.length
    ? sharedFrom(tokens, head.length, tail) === tail.length
    : false;
}

/** How many tokens from `at` on are those of `part`, from its start. */
export function sharedFrom(tokens: Int32Array, at: number, part: Int32Array): number {
  const end = Math.min(part.length, tokens.length - at);
  let i = 0;
  while (i < end && tokens[at + i] === part[i]) i += 1;
  return i;
}
