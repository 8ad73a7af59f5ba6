import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { type Body, parseBody } from "../../producers/gateway/store/json.ts";
import type { Issue } from "../../producers/gateway/store/validation.ts";
import { LightningError, messageOf } from "../../schemas/errors.ts";

/** A JSON value of a file and where it stands. */
export type Document = {
  readonly body: Body;
  /** What messages begin with: the file, and the line where each line is a value of its own. */
  readonly at: string;
};

/** Most bytes of one JSON value; V8 holds no longer text. */
export const longestDocument = 256 * 1024 * 1024;

/**
 * The JSON values of a file, `-` being standard input: one per line when the first line is a whole
 * value (JSONL, read as a stream), else the one the whole file is.
 *
 * @throws LightningError `not-found`, `record-malformed` naming line and column, `too-large`.
 */
export async function* documentsOf(
  file: string,
  longest = longestDocument,
): AsyncGenerator<Document> {
  const name = file === "-" ? "standard input" : file;
  const lines = linesOf(file === "-" ? process.stdin : createReadStream(file), name, longest);
  let first = true;
  for await (const line of lines) {
    if (isBlank(line.bytes)) continue;
    const at = `${name}, line ${line.number}`;
    if (!first) yield { body: parsedOr(line.bytes, name, line.number), at };
    else {
      first = false;
      const whole = parsedIfWhole(line.bytes);
      if (whole !== null) yield { body: whole, at };
      else
        yield {
          body: parsedOr(await theRest(line, lines, name, longest), name, line.number),
          at: name,
        };
    }
  }
}

type Line = { readonly number: number; readonly bytes: Buffer };

/** Splits at line feeds alone: other separators may stand inside JSON text. */
async function* linesOf(input: Readable, name: string, longest: number): AsyncGenerator<Line> {
  let open: Buffer[] = [];
  let size = 0;
  let number = 0;
  try {
    for await (const chunk of input) {
      let rest = Buffer.from(chunk);
      for (let end = rest.indexOf(lineFeed); end >= 0; end = rest.indexOf(lineFeed)) {
        number++;
        yield { number, bytes: Buffer.concat([...open, rest.subarray(0, end)]) };
        [open, size, rest] = [[], 0, rest.subarray(end + 1)];
      }
      size += rest.length;
      open.push(rest);
      if (size > longest) throw tooLong(name, longest);
    }
  } catch (cause) {
    throw readable(cause, name);
  }
  yield { number: number + 1, bytes: Buffer.concat(open) };
}

const lineFeed = 0x0a;

/** What the rest of the file is, from a line whose value does not end on it. */
async function theRest(
  first: Line,
  lines: AsyncGenerator<Line>,
  name: string,
  longest: number,
): Promise<Buffer> {
  const parts = [first.bytes];
  let size = first.bytes.length;
  for await (const { bytes } of lines) {
    size += bytes.length + 1;
    if (size > longest) throw tooLong(name, longest);
    parts.push(bytes);
  }
  return joined(parts, size);
}

function joined(parts: readonly Buffer[], size: number): Buffer {
  const whole = Buffer.alloc(size, lineFeed);
  let at = 0;
  for (const part of parts) {
    part.copy(whole, at);
    at += part.length + 1;
  }
  return whole;
}

function isBlank(bytes: Buffer): boolean {
  return bytes.length < 100 && withoutMark(bytes).toString("latin1").trim() === "";
}

/** Some editors begin a file with a byte order mark. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes.subarray(0, 3).equals(byteOrderMark) ? bytes.subarray(3) : bytes;
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

function parsedIfWhole(bytes: Buffer): Body | null {
  try {
    return parseBody(withoutMark(bytes));
  } catch {
    return null;
  }
}

function parsedOr(bytes: Buffer, name: string, firstLine: number): Body {
  try {
    return parseBody(withoutMark(bytes));
  } catch (error) {
    throw malformed(error, withoutMark(bytes), name, firstLine);
  }
}

/** What is no JSON, with line and column of the file. */
function malformed(error: unknown, bytes: Buffer, name: string, firstLine: number): LightningError {
  const [issue] = ((error as LightningError).fields?.detail ?? []) as Issue[];
  if (issue?.type !== "json_invalid") {
    const message = `${name}, line ${firstLine}: ${issue?.msg ?? messageOf(error)}`;
    return new LightningError("record-malformed", message);
  }
  // Bare numbers of Python are read elsewhere; here they must not count as the mistake.
  const text = bytes
    .toString("utf8")
    .replace(/-?\b(?:NaN|Infinity)\b/g, (bare) => "1".repeat(bare.length));
  const at = mistakeIn(text);
  const before = text.slice(0, at).split("\n");
  const line = firstLine + before.length - 1;
  const column = (before.at(-1)?.length ?? 0) + 1;
  const found =
    at >= text.trimEnd().length
      ? "the text ends too early"
      : `${JSON.stringify(text.slice(at, at + 20))} cannot stand here`;
  const message = `${name}, line ${line}, column ${column}: no JSON: ${found}`;
  return new LightningError("record-malformed", message);
}

/**
 * Index of the first character that cannot be: V8 does not always tell. What stands before it is the
 * longest beginning of which only the end is missing, found by halving.
 */
function mistakeIn(text: string): number {
  let good = 0;
  let bad = text.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isBeginning(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  return isBeginning(text) ? text.trimEnd().length : good;
}

function isBeginning(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    const said = messageOf(error);
    const at = /position (\d+)/.exec(said)?.[1];
    return /end of JSON|Unterminated/.test(said) || (at !== undefined && Number(at) >= text.length);
  }
}

function tooLong(name: string, longest: number): LightningError {
  const message = `${name}: one JSON value is longer than ${longest} bytes: write one span per line`;
  return new LightningError("too-large", message);
}

function readable(cause: unknown, name: string): unknown {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (cause instanceof LightningError || code === undefined) return cause;
  const reason = code === "ENOENT" ? "there is no such file" : message;
  return new LightningError("not-found", `${name}: ${reason}`, { cause });
}
