/** Pieces of JSON text: answers are built of them, so that what was sent goes back verbatim. */

export function quoted(text: string): string {
  return JSON.stringify(text);
}

export function quotedOrNull(text: string | null): string {
  return text === null ? "null" : JSON.stringify(text);
}

/** JSON text a record carries; quoted when a producer beside the gateway wrote something else. */
export function verbatim(text: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}

/** A float as Python writes it: with a fraction or an exponent, so that it comes back as one. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return "null";
  if (!Number.isInteger(value)) return String(value);
  if (Math.abs(value) >= 1e16) return value.toExponential();
  return Object.is(value, -0) ? "-0.0" : `${value}.0`;
}

export function floatOrNull(value: number | null): string {
  return value === null ? "null" : floatText(value);
}

/** Microseconds since 1970 as seconds. */
export function seconds(micros: number | null): string {
  return micros === null ? "null" : floatText(micros / 1e6);
}

/** A page of items that are JSON text. */
export function pageText(
  items: readonly string[],
  { limit, offset }: { readonly limit: number; readonly offset: number },
  total: number,
): string {
  return `{"items":[${items.join(",")}],"limit":${limit},"offset":${offset},"total":${total}}`;
}
