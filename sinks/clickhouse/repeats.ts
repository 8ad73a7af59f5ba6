import { type ClickHouseClient, literal, rowsOf } from "./client.ts";
import { identityOf, type Known, type Row, type TableShape } from "./table.ts";

/**
 * Drops rows whose key came before, in this delivery or in the table: the first record of the log
 * is the one that counts. Rows of this same delivery found in the table were written by an earlier
 * try and are dropped like any others.
 */
export async function withoutKnown(
  client: ClickHouseClient,
  table: TableShape,
  rows: readonly Row[],
): Promise<readonly Row[]> {
  if (table.repeats === null) return rows;
  const asked = new Map<string, Set<string | number>>();
  for (const { known } of rows) {
    if (known === null) continue;
    const ids = asked.get(known.scope) ?? new Set<string | number>();
    asked.set(known.scope, ids.add(known.id));
  }
  const seen = new Set<string>();
  for (const [scope, ids] of asked) {
    for (const identity of await stored(client, table, scope, [...ids])) seen.add(identity);
  }
  return rows.filter(({ known }) => known === null || isFirst(seen, known));
}

function isFirst(seen: Set<string>, { identity }: Known): boolean {
  if (seen.has(identity)) return false;
  seen.add(identity);
  return true;
}

/** Keys the table has under these ids. */
async function stored(
  client: ClickHouseClient,
  table: TableShape,
  scope: string,
  ids: readonly (string | number)[],
): Promise<string[]> {
  const [scopeColumn, idColumn] = table.repeats?.columns ?? ["", ""];
  const found = await rowsOf<Record<string, string | number>>(
    client,
    `SELECT ${table.key.join(", ")} FROM ${table.name}
     WHERE ${scopeColumn} = ${literal(scope)} AND ${idColumn} IN (${ids.map(literal).join(", ")})`,
    {},
    // The ids stand in the text: as parameters they would have to fit a URL.
    { max_query_size: String(64 * 1024 * 1024) },
  );
  return found.map((row) => identityOf(table.key.map((column) => row[column] ?? "")));
}
