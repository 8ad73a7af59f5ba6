import { LightningError, messageOf } from "../../schemas/errors.ts";
import { type EmitOptions, type Emitted, emitPoint } from "./emit.ts";
import { isPlain, kindOf } from "./flatten.ts";
import { keys, spanNames } from "./names.ts";

/**
 * Emits one value. Types are named as Python names them, so that readers of either language agree:
 *
 * | JavaScript | type | written as |
 * |---|---|---|
 * | string | `str` | literal: the text |
 * | boolean | `bool` | literal: `True`, `False` |
 * | whole number, bigint | `int` | literal: digits |
 * | other number | `float` | literal: Python's `repr` (`1e-07`, `nan`, `inf`) |
 * | Uint8Array, ArrayBuffer | `bytes` | literal: base64 |
 * | null, undefined | `NoneType` | JSON `null` |
 * | array | `list` | JSON |
 * | plain object, Map with text keys | `dict` | JSON |
 * | instance of a class | its name | JSON, by its `toJSON` if it has one |
 *
 * @example
 * await emitObject({ rooms: ["A1", "B2"] });
 *
 * Throws `request-invalid` naming the place for what JSON cannot write: cycles, Sets, functions,
 * symbols, bigints and non-finite numbers inside an object.
 */
export function emitObject(value: unknown, options: EmitOptions = {}): Promise<Emitted> {
  return emitPoint("emitObject", spanNames.object, objectAttributes(value), true, options);
}

/** Type and literal or JSON of a value, see {@link emitObject}. */
export function objectAttributes(value: unknown): Record<string, string> {
  const literal = literalOf(value);
  if (literal !== undefined) {
    return { [keys.objectType]: literal[0], [keys.objectLiteral]: literal[1] };
  }
  return { [keys.objectType]: jsonType(value), [keys.objectJson]: jsonOf(value) };
}

function literalOf(value: unknown): [type: string, text: string] | undefined {
  if (typeof value === "string") return ["str", value];
  if (typeof value === "boolean") return ["bool", value ? "True" : "False"];
  if (typeof value === "bigint") return ["int", value.toString()];
  if (typeof value === "number") {
    return Number.isInteger(value) ? ["int", BigInt(value).toString()] : ["float", repr(value)];
  }
  if (value instanceof ArrayBuffer) return ["bytes", Buffer.from(value).toString("base64")];
  if (!(value instanceof Uint8Array)) return undefined;
  return [
    "bytes",
    Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64"),
  ];
}

/** Python's repr of a float that is no integer: exponents from 1e-05 down, of two digits at least. */
function repr(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Math.abs(value) >= 1e-4) return String(value);
  return value.toExponential().replace(/e-(\d)$/, "e-0$1");
}

function jsonType(value: unknown): string {
  if (value === null || value === undefined) return "NoneType";
  if (Array.isArray(value)) return "list";
  if (isPlain(value) || value instanceof Map) return "dict";
  return Object(value).constructor?.name || "object";
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value ?? null, refusing) ?? unwritable("the value", value);
  } catch (error) {
    if (error instanceof LightningError) throw error;
    throw new LightningError(
      "request-invalid",
      `emitObject: the value cannot be written as JSON: ${messageOf(error)}`,
      { cause: error, argument: "value" },
    );
  }
}

/** JSON.stringify would leave these out or write null in their place, and nobody would know. */
function refusing(key: string, value: unknown): unknown {
  if (value instanceof Map) {
    const odd = [...value.keys()].find((name) => typeof name !== "string");
    return odd === undefined ? Object.fromEntries(value) : unwritable(`a key of ${key}`, odd);
  }
  const refused =
    typeof value === "function" ||
    typeof value === "symbol" ||
    typeof value === "bigint" ||
    value instanceof Set ||
    (typeof value === "number" && !Number.isFinite(value));
  return refused ? unwritable(key === "" ? "the value" : key, value) : value;
}

function unwritable(place: string, value: unknown): never {
  const read = typeof value === "number" ? String(value) : kindOf(value);
  throw new LightningError(
    "request-invalid",
    `emitObject: ${place} is ${read}, which JSON cannot write`,
    {
      argument: place,
    },
  );
}
