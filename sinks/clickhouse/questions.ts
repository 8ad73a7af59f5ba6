import { readFileSync } from "node:fs";

export type Question = { readonly name: string; readonly sql: string };

/** The queries of questions.sql: what is worth asking, each under its `-- name:`. */
export function questions(): readonly Question[] {
  const text = readFileSync(new URL("questions.sql", import.meta.url), "utf8");
  return text
    .split(/^-- name: /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf("\n");
      return { name: part.slice(0, end).trim(), sql: part.slice(end + 1).trim() };
    });
}
