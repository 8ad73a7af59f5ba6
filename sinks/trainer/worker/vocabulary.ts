/**
 * The model's own vocabulary: what structures a conversation, the words it knows, numbers, times of
 * day, punctuation, and 256 byte tokens so that any text can be read. New tokens go at the end of
 * the words' list: the weights are indexed by token.
 */

/** What a token is. `closing` punctuation hugs the text before it, `opening` the text after it. */
export type TokenKind =
  | "mark"
  | "word"
  | "number"
  | "time"
  | "closing"
  | "opening"
  | "gap"
  | "byte";

const marks = [
  "<system>",
  "<user>",
  "<assistant>",
  "<tool>",
  "<function>",
  "<parameter>",
  "<enum>",
  "<integer>",
  "<string>",
  "<call>",
  "<say>",
  "<end>",
] as const;

/** A token no text can produce: only the chat template and the grammar emit it. */
export type Mark = (typeof marks)[number];

const words = `
a about after all alone also always an and answer any anyone are as ask asked at available be been
before between big book booked busy but by call camera can choose day desk do each enough every
everyone everything fit fits for found free friday from get give good group has have he hello help
here hour hours how i id if in is it large larger largest list list_rooms look made make many me
meet meeting minutes monday more most must my name need needed needs next no none not nothing now
of ok on one only open or other our out people person phone place please projector quiet request
reserve reserved right room rooms screen seat seats she small smaller smallest so table tell than
thank that the their them then there these they this thursday time to today tomorrow tool true
false tuesday two until up us use want was we wednesday week were what when where which while
whiteboard who will with would yes you your
alder ash aspen beech birch cedar elm hazel juniper larch linden maple oak pine poplar rowan spruce
sycamore walnut willow yew
A An And Answer Are At Book Can Find For Give Hello I If In Is It List Look Need No Please Room
Rooms Show The There They This Use We What Which Yes You`
  .trim()
  .split(/\s+/);

const upTo = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
const numbers = upTo(0, 40).map(String);
const times = upTo(0, 23).flatMap((hour) => [`${hour}:00`, `${hour}:30`]);

type Token = { readonly text: string; readonly kind: TokenKind };

const of = (kind: TokenKind, texts: readonly string[]): Token[] =>
  texts.map((text) => ({ text, kind }));

const known: readonly Token[] = [
  ...of("mark", marks),
  ...of("gap", ["\n", " ", ""]),
  ...of("closing", [",", ".", ":", ";", "?", "!", ")", "%"]),
  ...of("opening", ["(", "#"]),
  ...of("number", numbers),
  ...of("time", times),
  ...of("word", words),
];

/** Tokens with weights of their own; the bytes that follow share the one row of this index. */
export const knownTokens = known.length;

/** Ids are 0 … vocabularySize − 1. */
export const vocabularySize = knownTokens + 256;

const idOfText = new Map(known.map(({ text, kind }, id) => [kind === "mark" ? "" : text, id]));
const idOfMark = new Map(marks.map((mark, id) => [mark, id]));

/** Gaps: written only where spacing differs from what {@link file://./tokenizer.ts} implies. */
export const newline = marks.length;
export const space = marks.length + 1;
export const join = marks.length + 2;

/** Id of a structure token. */
export function markId(mark: Mark): number {
  return idOfMark.get(mark) ?? 0;
}

/** Id of a word, number, time or punctuation; undefined when it must be spelt in bytes. */
export function textId(text: string): number | undefined {
  return text === "" || text === "\n" || text === " " ? undefined : idOfText.get(text);
}

/** Id of a byte, 0 … 255. */
export function byteId(byte: number): number {
  return knownTokens + byte;
}

/** The byte a token stands for; undefined when it is not a byte token. */
export function byteOf(id: number): number | undefined {
  return id >= knownTokens && id < vocabularySize ? id - knownTokens : undefined;
}

/** What a token is; undefined for an id outside the vocabulary. */
export function kindOf(id: number): TokenKind | undefined {
  return byteOf(id) === undefined ? known[id]?.kind : "byte";
}

/** The text of a known token, marks in angle brackets; empty for bytes and ids out of range. */
export function textOf(id: number): string {
  return known[id]?.text ?? "";
}

/** Row of the weights a token uses: its own, or the one all bytes share. */
export function weightRow(id: number): number {
  return Math.min(id, knownTokens);
}
