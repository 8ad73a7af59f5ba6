import { messageOf } from "../../schemas/errors.ts";

/**
 * The members of a JSON object with their values as they were written, so that nothing is lost by
 * reading and printing numbers; for a name that stands twice the last counts. Answers what is wrong
 * when the text is no JSON object.
 */
export function rawMembers(text: string): Map<string, string> | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return `not JSON: ${messageOf(error)}`;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    return `read ${text.slice(0, 80)}, must be a JSON object`;
  }
  const members = new Map<string, string>();
  let at = text.indexOf("{") + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return members;
    const nameEnd = endOfText(text, quote);
    const colon = text.indexOf(":", nameEnd);
    const end = endOfValue(text, colon + 1);
    members.set(
      JSON.parse(text.slice(quote, nameEnd)) as string,
      text.slice(colon + 1, end).trim(),
    );
    at = end + 1;
    if (text[end] === "}") return members;
  }
}

/** Index behind the closing quote of the text that opens at `quote`. */
function endOfText(text: string, quote: number): number {
  let i = quote + 1;
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

/** Index of the comma or brace behind the value; the text is known to be valid JSON. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  let i = start;
  for (;;) {
    const sign = text[i];
    if (sign === '"') {
      i = endOfText(text, i);
      continue;
    }
    if (depth === 0 && (sign === "," || sign === "}")) return i;
    if (sign === "{" || sign === "[") depth++;
    if (sign === "}" || sign === "]") depth--;
    i++;
  }
}
