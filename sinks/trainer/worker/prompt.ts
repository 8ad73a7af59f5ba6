import { isContent } from "./features.ts";
import { type FunctionRead, readFunctions } from "./grammar.ts";
import { kindOf, markId, newline, weightRow } from "./vocabulary.ts";

/** Longest prompt in tokens; what each token costs grows with the prompt, and nobody may stall us. */
export const contextLength = 2048;

/** A prompt taken apart once, for any number of tokens generated after it. */
export type Prompt = {
  readonly ids: readonly number[];
  /** Vocabulary row by position: every byte token has the same. */
  readonly rows: Int32Array;
  /** Number of the line by position; a structure token or a newline starts a line. */
  readonly lines: Int32Array;
  /** Content tokens of each line, each once: what a long line costs is bounded by the vocabulary. */
  readonly lineContents: readonly (readonly number[])[];
  /** Where each token stands. */
  readonly places: ReadonlyMap<number, readonly number[]>;
  /** Content tokens of the last user message. */
  readonly request: ReadonlySet<number>;
  readonly requestNumbers: readonly number[];
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

function linesOf(ids: readonly number[]): Pick<Prompt, "lines" | "lineContents"> {
  const lines = new Int32Array(ids.length);
  const contents: Set<number>[] = [];
  ids.forEach((id, at) => {
    if (at === 0 || id === newline || kindOf(id) === "mark") contents.push(new Set());
    lines[at] = contents.length - 1;
    if (isContent(id)) contents.at(-1)?.add(id);
  });
  return { lines, lineContents: contents.map((line) => [...line]) };
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
  const asked = ids.lastIndexOf(user);
  const lastTurn = ids.slice(0, -1).findLastIndex((id) => roles.has(id));
  const said = messageAt(ids, lastTurn).filter((id) => kindOf(id) === "word");
  const request = new Set(messageAt(ids, asked).filter(isContent));
  const { lines, lineContents } = linesOf(ids);
  return {
    ids,
    rows: Int32Array.from(ids, weightRow),
    lines,
    lineContents,
    places: placesOf(ids),
    request,
    requestNumbers: [...request].filter((id) => kindOf(id) === "number"),
    requestLine: asked < 0 ? -1 : (lines[asked] ?? -1),
    speaker: ids[lastTurn] ?? markId("<system>"),
    sayable: [...new Set(said)],
    functions: readFunctions(ids),
  };
}
