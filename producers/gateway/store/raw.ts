import * as json from "../../../schemas/raw-json.ts";
import { invalid } from "./validation.ts";

/** Deepest nesting of a field; Python's own reader gives up at about twice this. */
export const deepest = 500;

const limit: json.DepthLimit = {
  deepest,
  error(name) {
    const type = "recursion_loop";
    const msg = `Input should not be nested deeper than ${deepest}`;
    return invalid([{ type, loc: ["body", name.slice(0, 80)], msg, input: null }]);
  },
};

/** The members of an object of a request as they were written. */
export const rawMembers = (text: string): Map<string, string> => json.rawMembers(text, limit);

/** The items of a list of a request as they were written. */
export const rawItems = (text: string): string[] => json.rawItems(text, limit);
