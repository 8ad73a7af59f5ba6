import { messageOf } from "../../schemas/errors.ts";
import { rawMembers as membersOf } from "../../schemas/raw-json.ts";

/** The members of a JSON object as they were written, or what is wrong when the text is none. */
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
  return membersOf(text);
}
