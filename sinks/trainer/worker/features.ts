import type { Prompt } from "./prompt.ts";
import { kindOf, textOf } from "./vocabulary.ts";

/** Number of weights; features are hashed into them. */
export const featureCount = 1 << 13;

/** Sparse features of one candidate token: indexes into the weights and their values. */
export type Features = { readonly at: number[]; readonly value: number[] };

/** Feature families: each has a hash space of its own. */
const family = {
  afterToken: 0,
  afterSpeaker: 1,
  leftNeighbour: 2,
  itself: 3,
  rightNeighbour: 4,
  onItsLine: 5,
  anyRepeated: 6,
  repeated: 7,
  difference: 8,
} as const;

function hash(kind: number, a: number, b: number): number {
  let x =
    Math.imul(a + 1, 0x9e3779b1) ^ Math.imul(b + 1, 0x85ebca6b) ^ Math.imul(kind + 1, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  return ((x ^ (x >>> 13)) >>> 0) % featureCount;
}

/** Differences of numbers beyond these are all alike. */
const differences = { least: -8, most: 14 };

/**
 * What the model looks at when it may generate `candidate` after `last`: the token itself and who
 * spoke, and where the candidate stands in the prompt, its neighbours, the tokens on its line, and
 * how those relate to the tokens of the last user message: the same token, or a number this much
 * larger. All of it is in the prompt; which of it matters is for the weights to learn.
 */
export function featuresOf(prompt: Prompt, last: number, candidate: number): Features {
  const features: Features = { at: [], value: [] };
  const add = (index: number, value: number): void => {
    features.at.push(index);
    features.value.push(value);
  };
  add(hash(family.afterToken, last, candidate), 1);
  add(hash(family.afterSpeaker, prompt.speaker * 1000 + last, candidate), 1);
  const places = prompt.places.get(candidate) ?? [];
  const lines = new Map<number, number>();
  for (const at of places) {
    addNeighbours(prompt, last, at, 1 / places.length, add);
    const line = prompt.lines[at] ?? 0;
    lines.set(line, (lines.get(line) ?? 0) + 1 / places.length);
  }
  for (const [line, share] of lines) addLine(prompt, last, line, share, add);
  return features;
}

type Add = (index: number, value: number) => void;

function addNeighbours({ rows }: Prompt, last: number, at: number, share: number, add: Add): void {
  add(hash(family.leftNeighbour, last, rows[at - 1] ?? 0), share);
  add(hash(family.itself, last, rows[at] ?? 0), share);
  add(hash(family.rightNeighbour, last, rows[at + 1] ?? 0), share);
}

function addLine(prompt: Prompt, last: number, line: number, share: number, add: Add): void {
  for (const token of prompt.lineContents[line] ?? []) {
    add(hash(family.onItsLine, last, token), share);
    if (line === prompt.requestLine) continue;
    if (prompt.request.has(token)) {
      add(hash(family.anyRepeated, 0, 0), share);
      add(hash(family.repeated, 0, token), share);
    }
    if (kindOf(token) !== "number") continue;
    for (const wanted of prompt.requestNumbers) {
      add(hash(family.difference, 0, differenceOf(wanted, token)), share);
    }
  }
}

function differenceOf(wanted: number, token: number): number {
  const difference = Number(textOf(token)) - Number(textOf(wanted));
  return Math.max(differences.least, Math.min(differences.most, difference)) - differences.least;
}

/** Words, numbers and times; not punctuation or structure. */
export function isContent(token: number): boolean {
  const kind = kindOf(token);
  return kind === "word" || kind === "number" || kind === "time";
}
