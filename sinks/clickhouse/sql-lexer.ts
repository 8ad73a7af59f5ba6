import { LightningError } from "../../schemas/errors.ts";

export type Token = {
  readonly kind: "word" | "quoted" | "text" | "number" | "sign";
  /** As it was written. */
  readonly raw: string;
  /** Words in upper case, quoted names without quotes, signs as they are. */
  readonly name: string;
  readonly at: number;
};

/**
 * The lexemes we understand. ClickHouse understands more (curly quotes, `//` and `#` comments,
 * heredocs, letters of all alphabets); whatever is not listed here is refused, so that no text can
 * look like a string to us and like code to the server.
 */
const lexeme = new RegExp(
  [
    /(?<skip>[ \t\r\n]+|--[^\r\n]*|\/\*(?:[^*]|\*(?!\/))*\*\/)/,
    /(?<hex>[xXbB]'[0-9A-Fa-f]*')/,
    /(?<text>'(?:[^'\\]|\\[\s\S]|'')*')/,
    /(?<quoted>`(?:[^`\\])*`|"(?:[^"\\])*")/,
    /(?<number>\d[\w.]*(?:(?<=[eE])[+-]\d+)?(?!['\w.]))/,
    /(?<word>[A-Za-z_]\w*(?!['\w]))/,
    /(?<sign>[-+*/%=<>!|:?;,.()[\]])/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "y",
);

/** Refuses a query, saying why and where. */
export function refuse(why: string, at: number): never {
  throw new LightningError("query-refused", `${why} (at position ${at + 1})`, { position: at + 1 });
}

/** Tokens, and the text with every comment blanked, so that positions stay. */
export function lex(sql: string): { tokens: Token[]; clean: string } {
  const tokens: Token[] = [];
  let clean = "";
  for (let at = 0; at < sql.length; ) {
    lexeme.lastIndex = at;
    const match = lexeme.exec(sql);
    const raw = match?.[0] ?? "";
    const groups = match?.groups;
    if (groups === undefined) refuse(whyNot(sql, at), at);
    if (groups.sign === "/") checkSlash(sql, at);
    clean += groups.skip === undefined ? raw : raw.replace(/[^\r\n]/g, " ");
    if (groups.skip === undefined) tokens.push(tokenOf(groups, raw, at));
    at += raw.length;
  }
  return { tokens, clean };
}

function checkSlash(sql: string, at: number): void {
  if (sql[at + 1] === "/") refuse("// is no operator; comments are written -- or /* */", at);
  if (sql[at + 1] === "*") refuse("a comment is not closed", at);
}

function tokenOf(groups: Readonly<Record<string, string>>, raw: string, at: number): Token {
  if (groups.word !== undefined) return { kind: "word", raw, name: raw.toUpperCase(), at };
  if (groups.quoted !== undefined) return { kind: "quoted", raw, name: raw.slice(1, -1), at };
  if (groups.number !== undefined) return { kind: "number", raw, name: raw, at };
  if (groups.sign !== undefined) return { kind: "sign", raw, name: raw, at };
  return { kind: "text", raw, name: "", at };
}

function whyNot(sql: string, at: number): string {
  const char = sql[at] ?? "";
  if (char === "'") return "a string is not closed";
  if (char === "`" || char === '"') return "a quoted name is not closed, or has a backslash";
  if (/\w/.test(char)) return "a word or number is followed by a quote, only x'…' and b'…' may be";
  const code = char.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
  return `read the character ${JSON.stringify(char)} (U+${code}) outside quotes, allowed is plain SQL`;
}
