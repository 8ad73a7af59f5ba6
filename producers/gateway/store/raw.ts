/**
 * Where the members of JSON text stand, so that a value can travel as it was written: reading and
 * printing it in JavaScript would make 1.0 a 1 and round large integers. The text is known to be
 * valid JSON.
 */
import { invalid } from "./validation.ts";

/** Deepest nesting of a field; Python's own reader gives up at about twice this. */
export const deepest = 500;

const quote = 0x22;
const backslash = 0x5c;

/** The members of the object as they were written; for a name that stands twice the last counts. */
export function rawMembers(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = text.indexOf("{") + 1;
  for (;;) {
    at = afterSpace(text, at);
    if (text.charCodeAt(at) !== quote) return members;
    const nameEnd = endOfText(text, at);
    const name = textOf(text.slice(at, nameEnd));
    const start = afterSpace(text, text.indexOf(":", nameEnd) + 1);
    const end = endOfValue(text, start, name);
    members.set(name, text.slice(start, end));
    at = afterSpace(text, end) + 1;
  }
}

/** The items of the list as they were written. */
export function rawItems(text: string): string[] {
  const items: string[] = [];
  let at = afterSpace(text, text.indexOf("[") + 1);
  while (at < text.length && text[at] !== "]") {
    const end = endOfValue(text, at, String(items.length));
    items.push(text.slice(at, end));
    at = afterSpace(text, afterSpace(text, end) + 1);
  }
  return items;
}

/** The text of a JSON string. */
export function textOf(raw: string): string {
  return raw.includes("\\") ? (JSON.parse(raw) as string) : raw.slice(1, -1);
}

/** Index behind the closing quote of the text that opens at `start`. */
export function endOfText(text: string, start: number): number {
  let at = text.indexOf('"', start + 1);
  while (at >= 0 && isEscaped(text, at)) at = text.indexOf('"', at + 1);
  return at < 0 ? text.length : at + 1;
}

function isEscaped(text: string, at: number): boolean {
  let from = at;
  while (text.charCodeAt(from - 1) === backslash) from--;
  return (at - from) % 2 === 1;
}

function afterSpace(text: string, at: number): number {
  let i = at;
  for (;;) {
    const code = text.charCodeAt(i);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return i;
    i++;
  }
}

function endOfValue(text: string, start: number, name: string): number {
  const first = text.charCodeAt(start);
  if (first === quote) return endOfText(text, start);
  if (first !== 0x7b && first !== 0x5b) return endOfWord(text, start);
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === quote) i = endOfText(text, i) - 1;
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > deepest) throw tooDeep(name);
    } else if ((code === 0x7d || code === 0x5d) && --depth === 0) return i + 1;
  }
  return text.length;
}

function endOfWord(text: string, start: number): number {
  const end = /[\s,}\]]/g;
  end.lastIndex = start;
  return end.exec(text)?.index ?? text.length;
}

function tooDeep(name: string): Error {
  const type = "recursion_loop";
  const msg = `Input should not be nested deeper than ${deepest}`;
  return invalid([{ type, loc: ["body", name.slice(0, 80)], msg, input: null }]);
}
