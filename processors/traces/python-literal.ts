/** Deepest nesting that is read. */
const maxDepth = 64;

const escapes: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** Digits that follow an escape, by its letter. */
const hexDigits: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

const words: Readonly<Record<string, unknown>> = { None: null, True: true, False: false };

/** Token ids and log-probs are long lists of numbers, and those are JSON. */
const numberList = /\[[-+.\deE,\s]*\]/y;
const number = /[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?/y;
const word = /\w+/y;
const prefix = /[bBuU](?=['"])/y;
const octal = /\\[0-7]{1,3}/y;
const singleQuoted = /[^'\\\n]+/y;
const doubleQuoted = /[^"\\\n]+/y;

type Cursor = { readonly text: string; at: number };

/** Says that the text is no literal; never leaves this file. */
const noLiteral = Symbol("no literal");

/**
 * The value a text of Python literals stands for, as `ast.literal_eval` reads it
 * (https://docs.python.org/3/library/ast.html#ast.literal_eval), or undefined when it is none. Tuples
 * and sets become lists, keys become text. Nothing is evaluated; linear in the text, nesting at most 64.
 */
export function pythonLiteral(text: string): unknown {
  const cursor = { text, at: 0 };
  const value = readValue(cursor, 0);
  skipSpace(cursor);
  return value === noLiteral || cursor.at < text.length ? undefined : value;
}

function readValue(c: Cursor, depth: number): unknown {
  skipSpace(c);
  const first = c.text[c.at];
  if (first === undefined || depth > maxDepth) return noLiteral;
  if (first === "[") return readNumbers(c) ?? readItems(c, "]", depth);
  if (first === "(") return readTuple(c, depth);
  if (first === "{") return readBraces(c, depth);
  if (first === "'" || first === '"') return readText(c);
  const digits = match(c, number);
  return digits === null ? readWord(c) : Number(digits);
}

function readWord(c: Cursor): unknown {
  // Bytes keep their letters: what they stand for depends on an encoding nobody names.
  if (match(c, prefix) !== null) return readText(c);
  const name = match(c, word) ?? "";
  return Object.hasOwn(words, name) ? words[name] : noLiteral;
}

/** A list of plain numbers at once, or null to read it item by item. */
function readNumbers(c: Cursor): unknown {
  const start = c.at;
  const list = match(c, numberList);
  if (list === null) return null;
  try {
    return JSON.parse(list) as unknown;
  } catch {
    c.at = start;
    return null;
  }
}

/** Items from the opening mark up to the closing one; a comma may follow the last. */
function readItems(c: Cursor, close: string, depth: number): unknown {
  c.at++;
  return readRest(c, close, depth, []);
}

function readRest(c: Cursor, close: string, depth: number, items: unknown[]): unknown {
  while (!takes(c, close)) {
    if (items.length > 0 && !takes(c, ",")) return noLiteral;
    if (items.length > 0 && takes(c, close)) break;
    const item = readValue(c, depth + 1);
    if (item === noLiteral) return noLiteral;
    items.push(item);
  }
  return items;
}

/** `(x)` is x, `(x,)` is a tuple. */
function readTuple(c: Cursor, depth: number): unknown {
  const items = readItems(c, ")", depth);
  if (!Array.isArray(items) || items.length !== 1) return items;
  let last = c.at - 2;
  while (isSpace(c.text.charCodeAt(last))) last--;
  return c.text[last] === "," ? items : items[0];
}

function readBraces(c: Cursor, depth: number): unknown {
  c.at++;
  if (takes(c, "}")) return {};
  const first = readValue(c, depth + 1);
  if (first === noLiteral) return noLiteral;
  return takes(c, ":") ? readDict(c, first, depth) : readRest(c, "}", depth, [first]);
}

function readDict(c: Cursor, first: unknown, depth: number): unknown {
  const entries: [string, unknown][] = [];
  let key = first;
  while (true) {
    const value = readValue(c, depth + 1);
    if (value === noLiteral) return noLiteral;
    entries.push([typeof key === "string" ? key : JSON.stringify(key), value]);
    if (takes(c, "}")) break;
    if (!takes(c, ",")) return noLiteral;
    if (takes(c, "}")) break;
    key = readValue(c, depth + 1);
    if (key === noLiteral || !takes(c, ":")) return noLiteral;
  }
  return Object.fromEntries(entries);
}

function readText(c: Cursor): unknown {
  const quote = c.text[c.at];
  const plain = quote === "'" ? singleQuoted : doubleQuoted;
  let text = "";
  c.at++;
  while (c.text[c.at] !== quote) {
    const piece = match(c, plain) ?? readEscape(c);
    if (piece === null) return noLiteral;
    text += piece;
  }
  c.at++;
  return text;
}

function readEscape(c: Cursor): string | null {
  const letter = c.text[c.at + 1];
  if (c.text[c.at] !== "\\" || letter === undefined) return null;
  const digits = match(c, octal);
  if (digits !== null) return String.fromCharCode(Number.parseInt(digits.slice(1), 8));
  c.at += 2;
  const length = hexDigits[letter];
  // An escape Python does not know stays as it is written.
  if (length === undefined) return escapes[letter] ?? `\\${letter}`;
  const hex = c.text.slice(c.at, c.at + length);
  c.at += length;
  const code = hex.length === length && /^[\da-f]+$/i.test(hex) ? Number.parseInt(hex, 16) : -1;
  return code < 0 || code > 0x10ffff ? null : String.fromCodePoint(code);
}

/** True, and past it, when this mark comes next. */
function takes(c: Cursor, mark: string): boolean {
  skipSpace(c);
  if (c.text[c.at] !== mark) return false;
  c.at++;
  return true;
}

function skipSpace(c: Cursor): void {
  while (isSpace(c.text.charCodeAt(c.at))) c.at++;
}

function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}

/** What the sticky pattern finds here, and past it; null when it finds nothing. */
function match(c: Cursor, pattern: RegExp): string | null {
  pattern.lastIndex = c.at;
  const found = pattern.exec(c.text)?.[0] ?? null;
  if (found !== null) c.at += found.length;
  return found;
}
