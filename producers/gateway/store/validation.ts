import { LightningError } from "../../../schemas/errors.ts";
import { rawMembers } from "./raw.ts";

export type Loc = readonly (string | number)[];

/** One mistake in a request, as FastAPI tells it. */
export type Issue = {
  readonly type: string;
  readonly loc: Loc;
  readonly msg: string;
  readonly input: unknown;
  readonly ctx?: Readonly<Record<string, unknown>>;
};

/** A 422 with FastAPI's body. */
export function invalid(issues: readonly Issue[]): LightningError {
  const detail = issues
    .slice(0, mostIssues)
    .map((issue) => ({ ...issue, input: echo(issue.input) }));
  const [first] = detail;
  const field = first?.loc.join(".") ?? "body";
  const message = `${field}: ${first?.msg ?? "invalid"}`;
  return new LightningError("request-invalid", message, { field, detail });
}

/** A 400 with FastAPI's body. */
export function refused(message: string): LightningError {
  return new LightningError("request-invalid", message);
}

const mostIssues = 100;
const longestEcho = 1000;

/** What was read, unless it is too large or too deep to be sent back. */
function echo(input: unknown): unknown {
  try {
    const text = JSON.stringify(input);
    return text === undefined || text.length <= longestEcho ? input : `${text.slice(0, 80)}…`;
  } catch {
    return "…";
  }
}

/** The fields of one object of a request, and the mistakes found so far in the whole of it. */
export type Fields = {
  readonly value: Readonly<Record<string, unknown>>;
  readonly loc: Loc;
  readonly issues: Issue[];
  /** The JSON text of a field as it was sent. */
  raw(name: string): string;
};

/** @param text the JSON text of `value`. */
export function fieldsOf(
  value: Readonly<Record<string, unknown>>,
  text: string,
  loc: Loc,
  issues: Issue[],
): Fields {
  let members: Map<string, string> | undefined;
  return {
    value,
    loc,
    issues,
    raw(name) {
      members ??= rawMembers(text);
      return members.get(name) ?? "null";
    },
  };
}

/** Throws when anything was wrong. */
export function check(issues: readonly Issue[]): void {
  if (issues.length > 0) throw invalid(issues);
}

/** Why a value cannot be. */
export type Problem = {
  readonly type: string;
  readonly msg: string;
  readonly ctx?: Readonly<Record<string, unknown>>;
};

/** A value as it is meant, or the problem with it. */
export type Convert<T> = (value: unknown) => { readonly is: T } | Problem;

export function has(fields: Fields, name: string): boolean {
  return Object.hasOwn(fields.value, name);
}

/** A field that may be null; undefined when it is absent (or wrong, which is noted). */
export function optional<T>(
  fields: Fields,
  name: string,
  convert: Convert<T>,
): T | null | undefined {
  if (!has(fields, name)) return undefined;
  return fields.value[name] === null ? null : taken(fields, name, convert);
}

/** A field that must be there; undefined when it is wrong, which is noted. */
export function required<T>(fields: Fields, name: string, convert: Convert<T>): T | undefined {
  if (has(fields, name)) return taken(fields, name, convert);
  note(fields, name, missing, fields.value);
  return undefined;
}

/** A field that has a default and cannot be null. */
export function defaulted<T>(fields: Fields, name: string, convert: Convert<T>, fallback: T): T {
  return has(fields, name) ? (taken(fields, name, convert) ?? fallback) : fallback;
}

export const missing: Problem = { type: "missing", msg: "Field required" };

export function note(fields: Fields, name: string, problem: Problem, input: unknown): void {
  fields.issues.push({ ...problem, loc: [...fields.loc, name], input });
}

function taken<T>(fields: Fields, name: string, convert: Convert<T>): T | undefined {
  const value = fields.value[name];
  const result = convert(value);
  if ("is" in result) return result.is;
  note(fields, name, result, value);
  return undefined;
}

/** A list of which every item is converted; null and absent are null. */
export function listOf<T>(fields: Fields, name: string, convert: Convert<T>): T[] | null {
  const list = optional(fields, name, asList);
  if (list === undefined || list === null) return null;
  return list.flatMap((item, i) => {
    const result = convert(item);
    if ("is" in result) return [result.is];
    fields.issues.push({ ...result, loc: [...fields.loc, name, i], input: item });
    return [];
  });
}

export const asAny: Convert<unknown> = (value) => ({ is: value });

export const asText: Convert<string> = (value) =>
  typeof value === "string"
    ? { is: value }
    : { type: "string_type", msg: "Input should be a valid string" };

const longestId = 1000;

/** Text that ends up in Kafka keys; empty is allowed where the reference takes it. */
export const asId: Convert<string> = (value) => {
  if (typeof value !== "string") return asText(value);
  if (value.length > longestId) {
    const msg = `String should have at most ${longestId} characters`;
    return { type: "string_too_long", msg, ctx: { max_length: longestId } };
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (!/[\u0000-\u001f\u007f-\u009f]/.test(value)) return { is: value };
  const type = "string_pattern_mismatch";
  return { type, msg: "String should have no control characters" };
};

export const asInteger: Convert<number> = (value) => {
  const number = typeof value === "boolean" ? Number(value) : value;
  if (typeof number === "string") {
    if (/^\s*[+-]?\d{1,15}(\.0*)?\s*$/.test(number)) return { is: Number(number) };
    const msg = "Input should be a valid integer, unable to parse string as an integer";
    return { type: "int_parsing", msg };
  }
  if (typeof number !== "number")
    return { type: "int_type", msg: "Input should be a valid integer" };
  if (Number.isSafeInteger(number)) return { is: number === 0 ? 0 : number };
  if (Number.isInteger(number) || !Number.isFinite(number)) {
    return {
      type: "int_parsing_size",
      msg: "Unable to parse input string as an integer, exceeded maximum size",
    };
  }
  const msg = "Input should be a valid integer, got a number with a fractional part";
  return { type: "int_from_float", msg };
};

export const asNumber: Convert<number> = (value) => {
  if (typeof value === "boolean") return { is: Number(value) };
  if (typeof value === "number" && Number.isFinite(value)) return { is: value };
  if (typeof value === "string") {
    const number = value.trim() === "" ? Number.NaN : Number(value);
    if (Number.isFinite(number)) return { is: number };
    const msg = "Input should be a valid number, unable to parse string as a number";
    return { type: "float_parsing", msg };
  }
  return { type: "float_type", msg: "Input should be a valid number" };
};

/** Seconds a timer or a record can hold. */
export const asSeconds: Convert<number> = (value) => {
  const result = asNumber(value);
  if (!("is" in result) || Math.abs(result.is) <= mostSeconds) return result;
  const msg = `Input should be less than or equal to ${mostSeconds}`;
  return { type: "less_than_equal", msg, ctx: { le: mostSeconds } };
};

/** As µs still exact. */
const mostSeconds = 9_000_000_000;

export const asBoolean: Convert<boolean> = (value) => {
  if (typeof value === "boolean") return { is: value };
  if (value === 0 || value === 1) return { is: value === 1 };
  return { type: "bool_type", msg: "Input should be a valid boolean" };
};

export const asList: Convert<readonly unknown[]> = (value) =>
  Array.isArray(value) ? { is: value } : { type: "list_type", msg: "Input should be a valid list" };

export const asObject: Convert<Readonly<Record<string, unknown>>> = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? { is: value as Record<string, unknown> }
    : { type: "dict_type", msg: "Input should be a valid dictionary" };

/** Text of a fixed set. */
export function oneOf<T extends string>(allowed: readonly T[]): Convert<T> {
  const names = allowed.map((name) => `'${name}'`);
  const expected = `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
  const problem = { type: "literal_error", msg: `Input should be ${expected}`, ctx: { expected } };
  return (value) => {
    const found = allowed.find((name) => name === value);
    return found === undefined ? problem : { is: found };
  };
}
