import { LightningError } from "../../schemas/errors.ts";

/** A JSON object whose field names were checked. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * The fields of a request body; absent is empty. Throws `request-invalid` for what is no object and
 * for names that mean nothing here: a misspelt limit must not be a missing one.
 */
export function fieldsOf(body: unknown, allowed: readonly string[], path = ""): Fields {
  if (body === undefined || body === null) return {};
  if (!isObject(body)) throw invalid(path === "" ? "body" : path, body, "a JSON object");
  for (const name of Object.keys(body)) {
    if (!allowed.includes(name)) {
      throw invalid(join(path, name), body[name], `no such field, but ${allowed.join(", ")}`);
    }
  }
  return body;
}

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A number of a range, or undefined when the field is absent or null. */
export function numberField(
  fields: Fields,
  name: string,
  range: { readonly min: number; readonly max: number; readonly whole: boolean },
): number | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined) return undefined;
  const fits =
    typeof value === "number" &&
    value >= range.min &&
    value <= range.max &&
    (!range.whole || Number.isInteger(value));
  if (fits) return value;
  const kind = range.whole ? "an integer" : "a number";
  throw invalid(name, value, `${kind} from ${range.min} to ${range.max}`);
}

/** A text of 1 to `maxLength` characters, or undefined when the field is absent or null. */
export function textField(fields: Fields, name: string, maxLength = 200): string | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value === "string" && value.length > 0 && value.length <= maxLength) return value;
  throw invalid(name, value, `a text of 1 to ${maxLength} characters`);
}

/** One of the choices, or undefined when the field is absent or null. */
export function choiceField<Choice extends string | boolean>(
  fields: Fields,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined) return undefined;
  const choice = choices.find((one) => one === value);
  if (choice !== undefined) return choice;
  throw invalid(name, value, choices.map((one) => JSON.stringify(one)).join(" or "));
}

/** The error of a field: what was read and what is allowed. */
export function invalid(field: string, read: unknown, allowed: string): LightningError {
  const text = typeof read === "number" ? String(read) : (JSON.stringify(read) ?? "nothing");
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return new LightningError("request-invalid", `${field}: read ${shown}, allowed is ${allowed}`, {
    field,
  });
}

export function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
