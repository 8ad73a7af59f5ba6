import type { Attributes, AttributeValue } from "@opentelemetry/api";
import { LightningError } from "../../schemas/errors.ts";
import { jsonText } from "../attributes.ts";

type Primitive = "string" | "number" | "boolean";

/**
 * Dotted paths of nested data, as `agentlightning.utils.otel.flatten_attributes` makes them.
 *
 * Plain objects and Maps are walked. Below the root a list of text, of numbers or of truth values
 * stays one value; any other list becomes `<key>.<i>` (all lists do with `expandLists`). Empty
 * objects and lists vanish, null stays. What differs from Python: numbers are one type, so
 * `[1, 2.5]` stays a list; undefined vanishes; class instances are leaves; a cycle becomes the text
 * `[Circular]` instead of an endless recursion.
 *
 * Throws `request-invalid` for a Map key that is no text.
 */
export function flatten(
  value: unknown,
  { expandLists = false }: { readonly expandLists?: boolean } = {},
): Record<string, unknown> {
  const entries: [string, unknown][] = [];
  const open = new Set<unknown>();
  const walk = (at: string | undefined, node: unknown): void => {
    if (node === undefined) return;
    const children = childrenOf(at, node, expandLists);
    if (children === undefined) {
      entries.push([at ?? "", node]);
    } else if (open.has(node)) {
      entries.push([at ?? "", "[Circular]"]);
    } else {
      open.add(node);
      for (const [key, child] of children) walk(at === undefined ? key : `${at}.${key}`, child);
      open.delete(node);
    }
  };
  walk(undefined, value);
  return Object.fromEntries(entries);
}

/**
 * The tree that dotted paths describe, as `unflatten_attributes` builds it: an object whose keys are
 * exactly 0…n-1 becomes a list; where a path goes through a value, the later key wins.
 */
export function unflatten(flat: Readonly<Record<string, unknown>>): unknown {
  const root: Tree = new Map();
  for (const [path, value] of Object.entries(flat)) {
    const parts = path.split(".");
    const last = parts.pop() ?? "";
    let node = root;
    for (const part of parts) {
      const next = node.get(part);
      if (next instanceof Map) node = next;
      else {
        const made: Tree = new Map();
        node.set(part, made);
        node = made;
      }
    }
    node.set(last, value);
  }
  return built(root);
}

/** Keeps `prefix` itself and everything below `prefix.`. */
export function withPrefix(
  flat: Readonly<Record<string, unknown>>,
  prefix: string,
): Record<string, unknown> {
  const below = `${prefix}.`;
  return Object.fromEntries(
    Object.entries(flat).filter(([key]) => key === prefix || key.startsWith(below)),
  );
}

/** The tree below `prefix`; throws `request-invalid` when the prefix itself has a value. */
export function unflattenBelow(flat: Readonly<Record<string, unknown>>, prefix: string): unknown {
  const below = Object.entries(withPrefix(flat, prefix)).map(([key, value]) => {
    if (key === prefix) {
      throw new LightningError("request-invalid", `${prefix} has a value, expected keys below it`);
    }
    return [key.slice(prefix.length + 1), value] as const;
  });
  return unflatten(Object.fromEntries(below));
}

/**
 * Values OpenTelemetry takes: primitives and lists of one type pass; lists of numbers and truth
 * values become numbers; everything else becomes JSON text. A number that JSON cannot write becomes
 * text there, at the top it passes.
 */
export function sanitise(flat: Readonly<Record<string, unknown>>): Attributes {
  return Object.fromEntries(Object.entries(flat).map(([key, value]) => [key, sanitised(value)]));
}

/**
 * The strict form of {@link sanitise}: throws `request-invalid`, naming the key, for what is neither
 * primitive nor a list of one type.
 */
export function checked(what: string, flat: Readonly<Record<string, unknown>>): Attributes {
  for (const [key, value] of Object.entries(flat)) {
    if (isPrimitive(value) || listValue(value) !== undefined) continue;
    throw new LightningError(
      "request-invalid",
      `${what}: ${key} is ${kindOf(value)}, allowed are text, number, boolean and lists of one of them`,
      { argument: key },
    );
  }
  return sanitise(flat);
}

/** What a value is, for a person: null, a Set, a list, a number. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "a mixed list";
  if (typeof value !== "object") return `a ${typeof value}`;
  return `an instance of ${value.constructor?.name ?? "nothing"}`;
}

/** Whether a value is an object literal, not an instance of a class. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

type Tree = Map<string, unknown>;

/** The members to walk, or undefined for a leaf. */
function childrenOf(
  at: string | undefined,
  node: unknown,
  expandLists: boolean,
): [string, unknown][] | undefined {
  if (Array.isArray(node)) {
    if (at !== undefined && !expandLists && primitiveOf(node) !== undefined) return undefined;
    return node.map((item, i) => [String(i), item]);
  }
  if (isPlain(node)) return Object.entries(node);
  if (!(node instanceof Map)) return undefined;
  return [...node].map(([key, child]) => {
    if (typeof key === "string") return [key, child];
    throw new LightningError(
      "request-invalid",
      `key ${String(key)}${at === undefined ? "" : ` below ${at}`} is ${kindOf(key)}, allowed is text`,
    );
  });
}

/** The one primitive type of a non-empty list. */
function primitiveOf(list: readonly unknown[]): Primitive | undefined {
  const type = typeof list[0];
  if (type !== "string" && type !== "number" && type !== "boolean") return undefined;
  return list.every((item) => typeof item === type) ? type : undefined;
}

function isPrimitive(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

/** The list OpenTelemetry takes for this one; undefined when it mixes text with other things. */
function listValue(value: unknown): AttributeValue | undefined {
  if (!Array.isArray(value)) return undefined;
  if (value.length === 0 || primitiveOf(value) !== undefined) return value;
  const numeric = value.every((item) => typeof item === "number" || typeof item === "boolean");
  return numeric ? value.map(Number) : undefined;
}

function sanitised(value: unknown): AttributeValue {
  if (isPrimitive(value)) return value;
  return listValue(value) ?? jsonText(value instanceof Set ? [...value] : value);
}

function built(node: unknown): unknown {
  if (!(node instanceof Map)) return node;
  const entries = [...(node as Tree)].map(([key, child]) => [key, built(child)] as const);
  const object = Object.fromEntries(entries);
  const list = entries.map((_, i) => object[String(i)]);
  const isList = entries.length > 0 && entries.every((_, i) => Object.hasOwn(object, String(i)));
  return isList ? list : object;
}
