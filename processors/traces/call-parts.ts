import {
  type Attributed,
  countOf,
  idsAt,
  idsIn,
  idsOf,
  jsonAt,
  jsonOf,
  listOf,
  numberOf,
  objectOf,
  textOf,
  unpackedList,
} from "./attributes.ts";
import type { ChoiceReader, Message, MessageReader, Said } from "./messages.ts";
import { readParts } from "./parts.ts";
import { remembered } from "./remembered.ts";
import type { ToolsReader } from "./tools.ts";

/** What one way of writing says about an LLM call; null and empty: nothing. */
export type CallParts = {
  readonly responseId: string | null;
  readonly model: string | null;
  readonly policyVersion: number | null;
  readonly messages: readonly Message[];
  /** How many of the first are instructions of this call alone, which a response after it does not inherit. */
  readonly instructions: number;
  /** The response whose conversation these messages continue. */
  readonly previousResponseId: string | null;
  /** Tool definitions, in OpenAI's form. */
  readonly tools: readonly unknown[];
  /** Int32 little endian. */
  readonly promptIds: Uint8Array | null;
  /** These four by index of the choice. */
  readonly completions: ReadonlyMap<number, Message>;
  readonly responseIds: ReadonlyMap<number, Uint8Array>;
  readonly logprobs: ReadonlyMap<number, readonly number[]>;
  readonly finishReasons: ReadonlyMap<number, string>;
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  readonly temperature: number | null;
  readonly topP: number | null;
  /** Why the call failed, when the writer says so. */
  readonly error: string | null;
};

const none: ReadonlyMap<number, never> = new Map<number, never>();

export const noParts: CallParts = {
  responseId: null,
  model: null,
  policyVersion: null,
  messages: [],
  instructions: 0,
  previousResponseId: null,
  tools: [],
  promptIds: null,
  completions: none,
  responseIds: none,
  logprobs: none,
  finishReasons: none,
  promptTokens: null,
  completionTokens: null,
  temperature: null,
  topP: null,
  error: null,
};

/** Each part from the first that has it. */
export function mergeParts(a: CallParts, b: CallParts): CallParts {
  return {
    responseId: a.responseId ?? b.responseId,
    model: a.model ?? b.model,
    policyVersion: a.policyVersion ?? b.policyVersion,
    messages: a.messages.length > 0 ? a.messages : b.messages,
    instructions: a.messages.length > 0 ? a.instructions : b.instructions,
    previousResponseId: a.previousResponseId ?? b.previousResponseId,
    tools: a.tools.length > 0 ? a.tools : b.tools,
    promptIds: a.promptIds ?? b.promptIds,
    completions: a.completions.size > 0 ? a.completions : b.completions,
    responseIds: a.responseIds.size > 0 ? a.responseIds : b.responseIds,
    logprobs: a.logprobs.size > 0 ? a.logprobs : b.logprobs,
    finishReasons: a.finishReasons.size > 0 ? a.finishReasons : b.finishReasons,
    promptTokens: a.promptTokens ?? b.promptTokens,
    completionTokens: a.completionTokens ?? b.completionTokens,
    temperature: a.temperature ?? b.temperature,
    topP: a.topP ?? b.topP,
    error: a.error ?? b.error,
  };
}

/** Attribute names of one spelling; of a list the first that is there counts. */
export type CallNames = {
  readonly responseId: readonly string[];
  readonly model: readonly string[];
  readonly policyVersion: readonly string[];
  readonly promptIds: readonly string[];
  /** Those of choice n > 0 end in `.n`. */
  readonly responseIds: readonly string[];
  /** The same. */
  readonly logprobs: readonly string[];
  readonly finishReasons: readonly string[];
  readonly promptTokens: readonly string[];
  readonly completionTokens: readonly string[];
  readonly temperature: readonly string[];
  readonly topP: readonly string[];
  /** Parameters of the request as JSON text: `temperature`, `top_p`. */
  readonly parameters: readonly string[];
  /** A system prompt beside the messages. */
  readonly instructions: readonly string[];
  /** The first that finds some counts. */
  readonly messages: readonly MessageReader[];
  readonly completions: readonly ChoiceReader[];
  readonly tools: readonly ToolsReader[];
};

/** What a spelling has no names for. */
export const noNames: CallNames = {
  responseId: [],
  model: [],
  policyVersion: [],
  promptIds: [],
  responseIds: [],
  logprobs: [],
  finishReasons: [],
  promptTokens: [],
  completionTokens: [],
  temperature: [],
  topP: [],
  parameters: [],
  instructions: [],
  messages: [],
  completions: [],
  tools: [],
};

/** Reads a call that stands in attributes of these names. */
export function readNames(names: CallNames, of: Attributed): CallParts {
  const parameters = objectOf(jsonOf(of, names.parameters)) ?? {};
  const said = firstChoices(of, names.completions);
  return {
    responseId: textOf(of, names.responseId),
    model: textOf(of, names.model),
    policyVersion: countOf(of, names.policyVersion),
    messages: withInstructions(of, names, firstFound(of, names.messages)),
    instructions: 0,
    previousResponseId: null,
    tools: firstFound(of, names.tools),
    promptIds: idsOf(of, names.promptIds),
    completions: mapped(said, ({ message }) => message),
    responseIds: responseIdsOf(of, names.responseIds, said.size),
    logprobs: perChoice(of, names.logprobs, said.size, logprobsAt),
    finishReasons: finishReasonsOf(of, names.finishReasons, said),
    promptTokens: countOf(of, names.promptTokens),
    completionTokens: countOf(of, names.completionTokens),
    temperature: finite(numberOf(of, names.temperature) ?? parameters.temperature),
    topP: finite(numberOf(of, names.topP) ?? parameters.top_p),
    error: null,
  };
}

/** The value when it is a finite number. */
export function finite(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** Log-probs of a list of numbers or of OpenAI's `{token, logprob}`; NaN for what is neither. */
export function logprobsIn(list: unknown): readonly number[] {
  return listOf(list).map((item) => {
    const value = typeof item === "number" ? item : objectOf(item)?.logprob;
    return typeof value === "number" ? value : Number.NaN;
  });
}

function firstFound<T>(
  of: Attributed,
  readers: readonly ((of: Attributed) => readonly T[])[],
): readonly T[] {
  for (const read of readers) {
    const found = read(of);
    if (found.length > 0) return found;
  }
  return [];
}

function firstChoices(of: Attributed, readers: readonly ChoiceReader[]): ReadonlyMap<number, Said> {
  for (const read of readers) {
    const found = read(of);
    if (found.size > 0) return found;
  }
  return none;
}

/** OpenTelemetry GenAI keeps the system prompt in an attribute of its own. */
function withInstructions(
  of: Attributed,
  { instructions }: CallNames,
  messages: readonly Message[],
): readonly Message[] {
  const parts = listOf(jsonOf(of, instructions));
  if (parts.length === 0) return messages;
  return [{ role: "system", content: readParts(parts).content }, ...messages];
}

/** Where choices 0, 1, … of an attribute stand, and its `content`; known beforehand for the first few. */
const numbered = remembered((name) =>
  Array.from({ length: 16 }, (_, i) => (i === 0 ? name : `${name}.${i}`)),
);
const contentOf = remembered((name) => `${name}.content`);

/** A list of ids, one list per choice, or one list per attribute `name`, `name.1`, … */
function responseIdsOf(
  of: Attributed,
  names: readonly string[],
  choices: number,
): ReadonlyMap<number, Uint8Array> {
  const found = perChoice(of, names, choices, idsAt);
  if (found.size > 0) return found;
  return new Map(
    listOf(jsonOf(of, names)).flatMap((list, i): [number, Uint8Array][] => {
      const ids = idsIn(list);
      return ids === null ? [] : [[i, ids]];
    }),
  );
}

function logprobsAt(of: Attributed, name: string): readonly number[] | null {
  const packed = unpackedList(of.attributes, name);
  if (packed !== undefined) return packed;
  const own = jsonAt(of, name);
  if (Array.isArray(own) && own.every((item) => typeof item === "number")) return own;
  const value = own === undefined ? jsonAt(of, contentOf(name)) : own;
  const list = logprobsIn(objectOf(value)?.content ?? value);
  return list.length > 0 ? list : null;
}

/** `name` is choice 0, `name.1` choice 1 and so on: all known choices, and on while there are any. */
function perChoice<T>(
  of: Attributed,
  names: readonly string[],
  choices: number,
  read: (of: Attributed, name: string) => T | null,
): ReadonlyMap<number, T> {
  for (const name of names) {
    const first = numbered(name);
    let found: Map<number, T> | undefined;
    for (let i = 0; i <= choices || found?.has(i - 1) === true; i++) {
      const value = read(of, first[i] ?? `${name}.${i}`);
      if (value === null) continue;
      found ??= new Map();
      found.set(i, value);
    }
    if (found !== undefined) return found;
  }
  return none;
}

/** What stands beside each choice, else a list with one reason per choice, or text for choice 0. */
function finishReasonsOf(
  of: Attributed,
  names: readonly string[],
  said: ReadonlyMap<number, Said>,
): ReadonlyMap<number, string> {
  const beside = mapped(said, ({ finish }) => finish);
  if (beside.size > 0) return beside;
  const reasons = listOf(jsonOf(of, names)).flatMap((reason, i): [number, string][] =>
    typeof reason === "string" ? [[i, reason]] : [],
  );
  if (reasons.length > 0) return new Map(reasons);
  const only = textOf(of, names);
  return only === null ? none : new Map([[0, only]]);
}

/** The same indexes with what is read from each item; nothing where that is null. */
function mapped<A, B>(
  items: ReadonlyMap<number, A>,
  read: (item: A) => B | null,
): ReadonlyMap<number, B> {
  let found: Map<number, B> | undefined;
  for (const [i, item] of items) {
    const value = read(item);
    if (value === null) continue;
    found ??= new Map();
    found.set(i, value);
  }
  return found ?? none;
}
