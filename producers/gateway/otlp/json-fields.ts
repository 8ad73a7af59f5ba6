import { LightningError } from "../../../schemas/errors.ts";

/** A parsed JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** The value as an object; throws `request-invalid` naming the path otherwise. */
export function object(value: unknown, path: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw wrong(path, value, "an object");
}

/** A list field, empty when absent. */
export function array(json: Json, name: string, path: string): readonly unknown[] {
  const value = read(json, name);
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw wrong(join(path, name), value, "a list");
}

/** A text field, empty when absent. */
export function text(json: Json, name: string, path: string): string {
  const value = read(json, name);
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  throw wrong(join(path, name), value, "text");
}

/** A 32-bit unsigned field, 0 when absent. */
export function whole(json: Json, name: string, path: string): number {
  const value = read(json, name) ?? 0;
  const number = typeof value === "string" && /^\d{1,10}$/.test(value) ? Number(value) : value;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0 && number < 2 ** 32) {
    return number;
  }
  throw wrong(join(path, name), value, "a whole number from 0 to 4294967295");
}

/** An enum field by number or by name; 0 when absent. */
export function enumeration(
  json: Json,
  name: string,
  path: string,
  prefix: string,
  names: readonly string[],
): number {
  const value = read(json, name) ?? 0;
  if (typeof value === "number" && Number.isInteger(value)) return value;
  const known = typeof value === "string" ? names.indexOf(value.replace(prefix, "")) : -1;
  if (known >= 0) return known;
  const allowed = names.map((one) => `${prefix}${one}`).join(", ");
  throw wrong(join(path, name), value, `a number or one of ${allowed}`);
}

/** Nanoseconds since 1970 as whole microseconds and the nanoseconds beyond; zeros when absent. */
export function millionths(json: Json, name: string, path: string): [number, number] {
  const value = read(json, name) ?? 0;
  if (typeof value === "number" ? Number.isInteger(value) && value >= 0 : isDigits(value)) {
    const nanos = BigInt(value as number | string);
    const micros = Number(nanos / 1000n);
    if (Number.isSafeInteger(micros)) return [micros, Number(nanos % 1000n)];
  }
  throw wrong(join(path, name), value, "nanoseconds since 1970 as a whole number or its digits");
}

function isDigits(value: unknown): boolean {
  return typeof value === "string" && /^\d{1,20}$/.test(value);
}

/** A field under its JSON name or its protobuf name; null counts as absent. */
export function read(json: Json, name: string): unknown {
  const value = Object.hasOwn(json, name) ? json[name] : json[snake(name)];
  return value === null ? undefined : value;
}

const snakes = new Map<string, string>();

function snake(name: string): string {
  let value = snakes.get(name);
  if (value === undefined) {
    value = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    snakes.set(name, value);
  }
  return value;
}

/** `request-invalid`: the field, what was read and what is allowed. */
export function wrong(path: string, value: unknown, allowed: string): LightningError {
  const seen =
    typeof value === "object" && value !== null
      ? Array.isArray(value)
        ? "a list"
        : "an object"
      : String(JSON.stringify(value)).slice(0, 80);
  return new LightningError("request-invalid", `${path}: read ${seen}, allowed is ${allowed}`, {
    field: path,
  });
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
