import { sharedFrom } from "./prefixes.ts";
import { type Turn, turnOf } from "./turn.ts";

/**
 * Why a turn does not go on with the context nearest to it (reference/v0.3-behaviour.md, 4.4):
 * - `template`: the special tokens differ at a place both have;
 * - `retokenisation`: the other tokens do not extend the context's, but their text does;
 * - `branch`: it goes back to a state that another turn has gone on from already (a retry, another
 *   sample of the same prompt), which is no mismatch of tokens;
 * - `other`: none of these, or nothing was given to decode with.
 */
export type MismatchKind = "template" | "retokenisation" | "branch" | "other";

/** All kinds, in the order they are shown. */
export const mismatchKinds = ["template", "retokenisation", "branch", "other"] as const;

/** What a diagnosis may use of the tokeniser. */
export type Vocabulary = {
  readonly special_ids?: ReadonlySet<number> | undefined;
  /** Text of tokens, special ones left out. */
  readonly decode?: ((ids: Int32Array) => string) | undefined;
};

/** One turn that began a row although it seemed to go on with another. */
export type Mismatch = {
  readonly rollout_id: string;
  readonly turn: number;
  /** The turn whose context it was compared with. */
  readonly near: number;
  readonly kinds: readonly MismatchKind[];
  /** Tokens both start with. */
  readonly shared: number;
  /** Some tokens of each from shortly before the first difference. */
  readonly context_ids: Int32Array;
  readonly turn_ids: Int32Array;
  /** The same as text; null when nothing was given to decode with. */
  readonly context_text: string | null;
  readonly turn_text: string | null;
};

const tokensBefore = 8;
const tokensShown = 32;

/** Compares a turn with the context it did not continue. Linear in their tokens. */
export function diagnose(
  rollout_id: string,
  { turn, near }: { readonly turn: number; readonly near: number },
  turns: readonly Turn[],
  vocabulary: Vocabulary,
): Mismatch {
  const [context = noTurn, own = noTurn] = [turns[near], turns[turn]];
  const shared = sharedTokens(own, context);
  const goesBack = shared >= own.prompt_ids.length || shared === tokensOf(context);
  const from = Math.max(0, shared - tokensBefore);
  const context_ids = tokensFrom(context, from, from + tokensShown);
  const turn_ids = tokensFrom(own, from, from + tokensShown);
  const { decode } = vocabulary;
  return {
    rollout_id,
    turn,
    near,
    kinds: goesBack ? ["branch"] : kindsOf(own, context, vocabulary),
    shared,
    context_ids,
    turn_ids,
    context_text: decode?.(context_ids) ?? null,
    turn_text: decode?.(turn_ids) ?? null,
  };
}

const noTurn = turnOf("none", [], [], null);

/** How many tokens both begin with, prompt and response as one. */
function sharedTokens(own: Turn, context: Turn): number {
  const most = Math.min(tokensOf(own), tokensOf(context));
  let i = 0;
  while (i < most && tokenAt(own, i) === tokenAt(context, i)) i += 1;
  return i;
}

function tokenAt({ prompt_ids, response_ids }: Turn, i: number): number | undefined {
  return i < prompt_ids.length ? prompt_ids[i] : response_ids[i - prompt_ids.length];
}

function tokensFrom(turn: Turn, from: number, to: number): Int32Array {
  const end = Math.min(to, tokensOf(turn));
  return Int32Array.from(
    { length: Math.max(0, end - from) },
    (_, i) => tokenAt(turn, from + i) ?? 0,
  );
}

function kindsOf(
  turn: Turn,
  nearest: Turn,
  { special_ids, decode }: Vocabulary,
): readonly MismatchKind[] {
  if (special_ids === undefined && decode === undefined) return ["other"];
  const own = tokensFrom(turn, 0, tokensOf(turn));
  const context = tokensFrom(nearest, 0, tokensOf(nearest));
  const special = (id: number): boolean => special_ids?.has(id) === true;
  const plain = (id: number): boolean => !special(id);
  const kinds: MismatchKind[] = [];
  const [ownSpecial, contextSpecial] = [own.filter(special), context.filter(special)];
  const both = Math.min(ownSpecial.length, contextSpecial.length);
  if (sharedFrom(ownSpecial, 0, contextSpecial) < both) kinds.push("template");
  const contextPlain = context.filter(plain);
  if (sharedFrom(own.filter(plain), 0, contextPlain) < contextPlain.length) {
    const reads = decode?.(own).startsWith(decode(context)) === true;
    kinds.push(reads ? "retokenisation" : "other");
  }
  return kinds.length === 0 ? ["other"] : kinds;
}

/** Tokens a turn has, prompt and response. */
export function tokensOf(turn: Turn | undefined): number {
  return turn === undefined ? 0 : turn.prompt_ids.length + turn.response_ids.length;
}
