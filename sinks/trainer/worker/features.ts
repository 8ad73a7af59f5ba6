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
  for (const at of places) addPlace(prompt, last, at, 1 / places.length, add);
  return features;
}

function addPlace(
  prompt: Prompt,
  last: number,
  at: number,
  share: number,
  add: (index: number, value: number) => void,
): void {
  const { rows } = prompt;
  add(hash(family.leftNeighbour, last, rows[at - 1] ?? 0), share);
  add(hash(family.itself, last, rows[at] ?? 0), share);
  add(hash(family.rightNeighbour, last, rows[at + 1] ?? 0), share);
  const line = prompt.lines[at] ?? 0;
  const asked = prompt.request;
  for (let i = prompt.lineStarts[line] ?? 0; i < (prompt.lineStarts[line + 1] ?? 0); i++) {
    const token = prompt.ids[i] ?? 0;
    if (!isContent(token)) continue;
    add(hash(family.onItsLine, last, token), share);
    if (line === prompt.requestLine) continue;
    for (const wanted of asked) {
      if (wanted === token) {
        add(hash(family.anyRepeated, 0, 0), share);
        add(hash(family.repeated, 0, token), share);
      }
      if (kindOf(wanted) === "number" && kindOf(token) === "number") {
        add(hash(family.difference, 0, differenceOf(wanted, token)), share);
      }
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
