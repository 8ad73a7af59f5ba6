/** Numbers this close, relative to the larger one, are the same number. */
const tolerance = 1e-9;

/**
 * Where and how two JSON values differ first, or null: integers exactly, other numbers within 1e-9,
 * objects by the keys of both.
 */
export function firstDifference(actual: unknown, expected: unknown, path = ""): string | null {
  if (Array.isArray(actual) && Array.isArray(expected)) {
    if (actual.length !== expected.length) {
      return `${path || "the value"} has ${actual.length} items, expected ${expected.length}`;
    }
    return firstOf(actual.keys(), (i) => firstDifference(actual[i], expected[i], `${path}[${i}]`));
  }
  if (isObject(actual) && isObject(expected)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(actual)]);
    return firstOf(keys, (key) =>
      firstDifference(actual[key], expected[key], path === "" ? key : `${path}.${key}`),
    );
  }
  if (same(actual, expected)) return null;
  return `${path || "the value"} is ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`;
}

function firstOf<Key>(keys: Iterable<Key>, differ: (key: Key) => string | null): string | null {
  for (const key of keys) {
    const difference = differ(key);
    if (difference !== null) return difference;
  }
  return null;
}

function same(a: unknown, b: unknown): boolean {
  if (typeof a !== "number" || typeof b !== "number") return a === b;
  if (Object.is(a, b) || a === b) return true;
  if (Number.isInteger(a) && Number.isInteger(b)) return false;
  return Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
