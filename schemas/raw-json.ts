/**
 * Where the members of JSON text stand, so that a value can travel as it was written: reading and
 * printing it in JavaScript would make 1.0 a 1 and round large integers. The text is known to be
 * valid JSON.
 */
import { createScanner, type JSONScanner, type SyntaxKind } from "jsonc-parser";

/** Kinds of tokens, which jsonc-parser has as an enum that exists for its own compiler only. */
const kinds = {
  openBrace: 1,
  closeBrace: 2,
  openBracket: 3,
  closeBracket: 4,
  text: 10,
  unknown: 16,
  end: 17,
} as const satisfies Readonly<Record<string, SyntaxKind>>;

/** How deep a member may be nested, and what is thrown when one is deeper. */
export type DepthLimit = { readonly deepest: number; error(name: string): Error };

/** The members of the object as they were written; for a name that stands twice the last counts. */
export function rawMembers(text: string, limit?: DepthLimit): Map<string, string> {
  const scanner = createScanner(text, true);
  const members = new Map<string, string>();
  scanner.scan();
  while (scanner.scan() === kinds.text) {
    const name = scanner.getTokenValue();
    scanner.scan();
    members.set(name, rawValue(scanner, text, scanner.scan(), { name, limit }));
    scanner.scan();
  }
  return members;
}

/** The items of the list as they were written. */
export function rawItems(text: string, limit?: DepthLimit): string[] {
  const scanner = createScanner(text, true);
  const items: string[] = [];
  scanner.scan();
  for (let kind = scanner.scan(); !closes(kind); kind = scanner.scan()) {
    items.push(rawValue(scanner, text, kind, { name: String(items.length), limit }));
    scanner.scan();
  }
  return items;
}

/** The text of a JSON string. */
export function textOf(raw: string): string {
  return raw.includes("\\") ? (JSON.parse(raw) as string) : raw.slice(1, -1);
}

/** The text with the numbers that Python writes and JSON does not know as null. */
export function withoutBareNumbers(text: string): string {
  const scanner = createScanner(text, true);
  let out = "";
  let from = 0;
  for (let kind = scanner.scan(); kind !== kinds.end; kind = scanner.scan()) {
    if (kind !== kinds.unknown) continue;
    const start = scanner.getTokenOffset();
    if (scanner.getTokenValue() === "-") scanner.scan();
    const end = scanner.getTokenOffset() + scanner.getTokenLength();
    if (!/^(NaN|-?Infinity)$/.test(text.slice(start, end))) continue;
    out += `${text.slice(from, start)}null`;
    from = end;
  }
  return out + text.slice(from);
}

/** The value that begins with the scanner's token. */
function rawValue(
  scanner: JSONScanner,
  text: string,
  first: SyntaxKind,
  { name, limit }: { readonly name: string; readonly limit: DepthLimit | undefined },
): string {
  const start = scanner.getTokenOffset();
  let depth = opens(first) ? 1 : 0;
  while (depth > 0) {
    const kind = scanner.scan();
    if (opens(kind)) depth += 1;
    else if (kind === kinds.end) break;
    else if (closes(kind)) depth -= 1;
    if (limit !== undefined && depth > limit.deepest) throw limit.error(name);
  }
  return text.slice(start, scanner.getTokenOffset() + scanner.getTokenLength());
}

function opens(kind: SyntaxKind): boolean {
  return kind === kinds.openBrace || kind === kinds.openBracket;
}

function closes(kind: SyntaxKind): boolean {
  return kind === kinds.closeBrace || kind === kinds.closeBracket || kind === kinds.end;
}
