import { type FunctionRead, readFunctions } from "./grammar.ts";
import { kindOf, markId, newline, weightRow } from "./vocabulary.ts";

/** A prompt taken apart once, for any number of tokens generated after it. */
export type Prompt = {
  readonly ids: readonly number[];
  /** Row of the weights by position. */
  readonly rows: Int32Array;
  /** Index into `lineStarts` by position; a structure token or a newline starts a line. */
  readonly lines: Int32Array;
  /** First position of each line, and at the end the length. */
  readonly lineStarts: readonly number[];
  /** First and past-the-last position of the last user message. */
  readonly asked: readonly [number, number];
  /** Rows of the last role mark before the model speaks, i.e. who spoke last. */
  readonly speaker: number;
  readonly functions: readonly FunctionRead[];
};

const roles = new Set([
  markId("<system>"),
  markId("<user>"),
  markId("<assistant>"),
  markId("<tool>"),
]);

function linesOf(ids: readonly number[]): { lines: Int32Array; lineStarts: number[] } {
  const lines = new Int32Array(ids.length);
  const lineStarts: number[] = [];
  ids.forEach((id, at) => {
    if (at === 0 || id === newline || kindOf(id) === "mark") lineStarts.push(at);
    lines[at] = lineStarts.length - 1;
  });
  return { lines, lineStarts: [...lineStarts, ids.length] };
}

function askedOf(ids: readonly number[]): [number, number] {
  const start = ids.lastIndexOf(markId("<user>"));
  if (start < 0) return [0, 0];
  const length = ids.slice(start + 1).findIndex((id) => roles.has(id));
  return [start, length < 0 ? ids.length : start + 1 + length];
}

/** Reads the structure of a prompt's token ids. */
export function readPrompt(ids: readonly number[]): Prompt {
  const before = ids.slice(0, -1).findLast((id) => roles.has(id));
  return {
    ids,
    rows: Int32Array.from(ids, weightRow),
    ...linesOf(ids),
    asked: askedOf(ids),
    speaker: before ?? markId("<system>"),
    functions: readFunctions(ids),
  };
}
