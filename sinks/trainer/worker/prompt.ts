import { isContent } from "./features.ts";
import { type FunctionRead, readFunctions } from "./grammar.ts";
import { kindOf, markId, newline, weightRow } from "./vocabulary.ts";

/** A prompt taken apart once, for any number of tokens generated after it. */
export type Prompt = {
  readonly ids: readonly number[];
  /** Vocabulary row by position: every byte token has the same. */
  readonly rows: Int32Array;
  /** Index into `lineStarts` by position; a structure token or a newline starts a line. */
  readonly lines: Int32Array;
  /** First position of each line, and at the end the length. */
  readonly lineStarts: readonly number[];
  /** Where each token stands. */
  readonly places: ReadonlyMap<number, readonly number[]>;
  /** Content tokens of the last user message. */
  readonly request: readonly number[];
  /** The line that message begins on. */
  readonly requestLine: number;
  /** The role mark of whoever spoke last before the model's turn. */
  readonly speaker: number;
  /** Words of what was said last: those the model may answer with. */
  readonly sayable: readonly number[];
  readonly functions: readonly FunctionRead[];
};

const user = markId("<user>");
const roles = new Set([markId("<system>"), user, markId("<assistant>"), markId("<tool>")]);

function linesOf(ids: readonly number[]): { lines: Int32Array; lineStarts: number[] } {
  const lines = new Int32Array(ids.length);
  const lineStarts: number[] = [];
  ids.forEach((id, at) => {
    if (at === 0 || id === newline || kindOf(id) === "mark") lineStarts.push(at);
    lines[at] = lineStarts.length - 1;
  });
  return { lines, lineStarts: [...lineStarts, ids.length] };
}

function placesOf(ids: readonly number[]): Map<number, number[]> {
  const places = new Map<number, number[]>();
  ids.forEach((id, at) => {
    const known = places.get(id);
    if (known === undefined) places.set(id, [at]);
    else known.push(at);
  });
  return places;
}

/** The message that begins at `start`, without its role mark. */
function messageAt(ids: readonly number[], start: number): readonly number[] {
  if (start < 0) return [];
  const length = ids.slice(start + 1).findIndex((id) => roles.has(id));
  return ids.slice(start + 1, length < 0 ? ids.length : start + 1 + length);
}

/** Reads the structure of a prompt's token ids; it ends with the mark of the model's turn. */
export function readPrompt(ids: readonly number[]): Prompt {
  const { lines, lineStarts } = linesOf(ids);
  const asked = ids.lastIndexOf(user);
  const lastTurn = ids.slice(0, -1).findLastIndex((id) => roles.has(id));
  const said = messageAt(ids, lastTurn).filter((id) => kindOf(id) === "word");
  return {
    ids,
    rows: Int32Array.from(ids, weightRow),
    lines,
    lineStarts,
    places: placesOf(ids),
    request: messageAt(ids, asked).filter(isContent),
    requestLine: asked < 0 ? -1 : (lines[asked] ?? -1),
    speaker: ids[lastTurn] ?? markId("<system>"),
    sayable: [...new Set(said)],
    functions: readFunctions(ids),
  };
}
