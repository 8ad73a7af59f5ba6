/** A parameter of a function: its name, and whether it takes the rest of the arguments. */
export type Parameter = { readonly name: string; readonly rest: boolean };

/**
 * Parameter names read from the source of a function, or undefined where they have none: native and
 * bound functions, and destructured parameters. Minified code gives minified names.
 */
export function parametersOf(fn: (...args: never[]) => unknown): Parameter[] | undefined {
  const source = Function.prototype.toString.call(fn).replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
  if (/\{\s*\[native code\]\s*\}\s*$/.test(source)) return undefined;
  const single = /^(?:async\s+)?([A-Za-z_$][\w$]*)\s*=>/.exec(source);
  if (single?.[1] !== undefined) return [{ name: single[1], rest: false }];
  const list = topLevelParts(source.slice(source.indexOf("(") + 1));
  const parameters = list?.map((text) => /^(\.\.\.)?([A-Za-z_$][\w$]*)\s*(?:=[^>]|$)/.exec(text));
  const named: Parameter[] = [];
  for (const match of parameters ?? [null]) {
    if (match?.[2] === undefined) return undefined;
    named.push({ name: match[2], rest: match[1] !== undefined });
  }
  return named;
}

/**
 * Inputs of a call by parameter name; `args` as a list where the names are unknown or too few, the
 * way the reference falls back when binding fails.
 */
export function boundInputs(
  parameters: readonly Parameter[] | undefined,
  args: readonly unknown[],
): Record<string, unknown> {
  const takesAll = parameters?.at(-1)?.rest === true || args.length <= (parameters?.length ?? -1);
  if (parameters === undefined || !takesAll) return { args: indexed(args) };
  const entries = parameters.map(({ name, rest }, i) => [
    name,
    rest ? indexed(args.slice(i)) : args[i],
  ]);
  return Object.fromEntries(entries);
}

/** Arguments each under its position: a list of numbers is no one value when they are arguments. */
export function indexed(args: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(args.map((value, i) => [String(i), value]));
}

/** Splits at the commas of the outermost level up to the closing parenthesis. */
function topLevelParts(text: string): string[] | undefined {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === '"' || char === "'" || char === "`") i = endOfText(text, i);
    else if (char === "(" || char === "[" || char === "{") depth++;
    else if (char === "," && depth === 0) {
      parts.push(text.slice(from, i).trim());
      from = i + 1;
    } else if (char === ")" || char === "]" || char === "}") {
      if (depth === 0) return [...parts, text.slice(from, i).trim()].filter((part) => part !== "");
      depth--;
    }
  }
  return undefined;
}

/** Index of the quote that ends the text begun at `start`. */
function endOfText(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === text[start]) return i;
  }
  return text.length;
}
