import {
  byteId,
  byteOf,
  join,
  kindOf,
  newline,
  space,
  type TokenKind,
  textId,
  textOf,
} from "./vocabulary.ts";

// A time of day, a number, a word, one blank, or one other character.
const chunks = /\d{1,2}:\d{2}(?!\d)|\d+|[A-Za-z_]+|\s|[^\sA-Za-z\d_]/gu;

const endsWord = new Set<TokenKind | undefined>(["word", "number", "time", "closing"]);
const startsWord = new Set<TokenKind | undefined>(["word", "number", "time", "opening"]);

/** One blank stands between these two without being written. */
function impliesSpace(before: number | undefined, after: number): boolean {
  return before !== undefined && endsWord.has(kindOf(before)) && startsWord.has(kindOf(after));
}

function chunkIds(chunk: string): number[] {
  const id = textId(chunk);
  return id === undefined ? [...Buffer.from(chunk, "utf8")].map(byteId) : [id];
}

const blankIds = (blank: string): number[] =>
  blank === "\n" ? [newline] : blank === " " ? [space] : chunkIds(blank);

/** Not `push(...more)`: a megabyte of blanks would overflow the stack. */
function append(ids: number[], more: readonly number[]): void {
  for (const id of more) ids.push(id);
}

/**
 * Token ids of a text. Single blanks between words are implied, as most are; other spacing is
 * written out, so that {@link decodeText} gives the text back exactly (well-formed Unicode). No text
 * yields a structure token: "<user>" in a message is only its characters.
 */
export function encodeText(text: string): number[] {
  const ids: number[] = [];
  let blanks: string[] = [];
  for (const chunk of text.match(chunks) ?? []) {
    if (/^\s$/u.test(chunk)) {
      blanks.push(chunk);
      continue;
    }
    const next = chunkIds(chunk);
    const implied = impliesSpace(ids.at(-1), next[0] ?? join);
    if (implied && blanks.length === 0) ids.push(join);
    else if (!(implied && blanks.length === 1 && blanks[0] === " ")) {
      append(ids, blanks.flatMap(blankIds));
    }
    blanks = [];
    append(ids, next);
  }
  append(ids, blanks.flatMap(blankIds));
  return ids;
}

/** The text of token ids; structure tokens show in angle brackets. Bytes that are not UTF-8 become U+FFFD. */
export function decodeText(ids: Iterable<number>): string {
  const parts: Buffer[] = [];
  let before: number | undefined;
  for (const id of ids) {
    const byte = byteOf(id);
    if (impliesSpace(before, id)) parts.push(Buffer.from(" "));
    parts.push(byte === undefined ? Buffer.from(textOf(id), "utf8") : Buffer.of(byte));
    before = id;
  }
  return Buffer.concat(parts).toString("utf8");
}
