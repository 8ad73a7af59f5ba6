import { kindOf, knownTokens, markId, type TokenKind } from "./vocabulary.ts";

/** One argument of a declared function and the tokens it may be. */
export type ParameterRead = {
  readonly name: readonly number[];
  readonly values: readonly number[];
};

/** A function that a prompt declares and the model can call: its name and each value are one token. */
export type FunctionRead = { readonly name: number; readonly parameters: readonly ParameterRead[] };

const declared = markId("<function>");
const parameter = markId("<parameter>");
const choice = markId("<enum>");
const integer = markId("<integer>");
const string = markId("<string>");
const call = markId("<call>");
const say = markId("<say>");
const end = markId("<end>");

const ofKind = (kind: TokenKind): number[] =>
  Array.from({ length: knownTokens }, (_, id) => id).filter((id) => kindOf(id) === kind);
const wordIds = ofKind("word");
const numberIds = ofKind("number");

/** The pieces of `ids` that begin with `mark`, without it; what stands before the first is left out. */
function piecesAfter(ids: readonly number[], mark: number): number[][] {
  const pieces: number[][] = [];
  for (const id of ids) {
    if (id === mark) pieces.push([]);
    else pieces.at(-1)?.push(id);
  }
  return pieces;
}

const before = (ids: readonly number[], stop: (id: number) => boolean): readonly number[] => {
  const at = ids.findIndex(stop);
  return at < 0 ? ids : ids.slice(0, at);
};

function readParameter(ids: readonly number[]): ParameterRead {
  const name = before(ids, (id) => kindOf(id) === "mark");
  if (ids.includes(integer)) return { name, values: numberIds };
  if (ids.includes(string)) return { name, values: wordIds };
  const values = piecesAfter(ids, choice).filter(({ length }) => length === 1);
  return { name, values: values.flat() };
}

/** The functions declared at the head of a prompt that the model is able to call. */
export function readFunctions(promptIds: readonly number[]): FunctionRead[] {
  const head = before(promptIds, (id) => kindOf(id) === "mark" && id < declared);
  return piecesAfter(head, declared).flatMap((ids) => {
    const [name] = ids;
    if (name === undefined || kindOf(name) !== "word") return [];
    const parameters = piecesAfter(ids, parameter).map(readParameter);
    return parameters.every(({ values }) => values.length > 0) ? [{ name, parameters }] : [];
  });
}

function legalInCall(functions: readonly FunctionRead[], response: readonly number[]) {
  const [, name, ...values] = response;
  if (name === undefined) return functions.map((each) => each.name);
  const parameters = functions.find((each) => each.name === name)?.parameters ?? [];
  return parameters[values.length]?.values ?? [end];
}

/**
 * Tokens that may come next: what an engine's guided decoding allows. A response is
 * `<say> word <end>`, the word being one that `said` lists (none when it is empty), or
 * `<call> function value… <end>`.
 * Empty when the response is complete.
 */
export function legalNext(
  functions: readonly FunctionRead[],
  said: readonly number[],
  response: readonly number[],
): readonly number[] {
  const [first] = response;
  if (response.at(-1) === end) return [];
  if (first === undefined) return functions.length > 0 ? [say, call] : [say];
  if (first === call) return legalInCall(functions, response);
  return response.length === 1 && said.length > 0 ? said : [end];
}
