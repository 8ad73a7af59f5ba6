import type { ClickHouseClient, ClickHouseSettings } from "@clickhouse/client";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { rowsOf, serverCode, unavailable } from "./client.ts";
import { guardQuery } from "./sql-guard.ts";

/** Formats people may ask for; all are text. */
export const queryFormats = [
  "JSON",
  "JSONCompact",
  "JSONEachRow",
  "JSONCompactEachRow",
  "CSV",
  "CSVWithNames",
  "TSV",
  "TSVWithNames",
  "TabSeparated",
  "TabSeparatedWithNames",
  "Pretty",
  "PrettyCompact",
  "PrettySpace",
  "Markdown",
  "Vertical",
] as const;

export type QueryLimits = {
  readonly seconds: number;
  readonly rows: number;
  readonly resultBytes: number;
  readonly memoryBytes: number;
};

/** What a person's query may cost; more is refused, not cut. */
export const queryLimits: QueryLimits = {
  seconds: 10,
  rows: 100_000,
  resultBytes: 64 * 1024 * 1024,
  memoryBytes: 1024 * 1024 * 1024,
};

/**
 * Answers one reading statement of a person as text. Throws `query-refused` for a statement that
 * does anything but read our tables, for a format that is not in `queryFormats`, and for what
 * ClickHouse refuses (with its words); `clickhouse-unavailable` when it cannot be asked.
 */
export async function readOnlySql(
  client: ClickHouseClient,
  query: string,
  format = "JSON",
  limits: QueryLimits = queryLimits,
): Promise<string> {
  const known = queryFormats.find((name) => name.toLowerCase() === format.toLowerCase());
  if (known === undefined) {
    throw new LightningError(
      "query-refused",
      `format: read ${JSON.stringify(format)}, allowed are ${queryFormats.join(", ")}`,
      { field: "format" },
    );
  }
  const guard = await guardOf(client);
  const checked = guardQuery(query, guard);
  try {
    const { stream } = await client.exec({
      query: `${checked}\nFORMAT ${known}`,
      clickhouse_settings: settingsOf(limits),
    });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString("utf8");
  } catch (error) {
    throw refusedOr(error);
  }
}

function settingsOf(limits: QueryLimits): ClickHouseSettings {
  return {
    readonly: "1",
    max_execution_time: limits.seconds,
    timeout_overflow_mode: "throw",
    max_result_rows: String(limits.rows),
    max_result_bytes: String(limits.resultBytes),
    result_overflow_mode: "throw",
    max_memory_usage: String(limits.memoryBytes),
    // An error in the middle of an answer is an error, not half an answer.
    wait_end_of_query: 1,
  };
}

/** Codes that say the server is busy or cut off, whoever asked. */
const worldCodes = new Set([202, 203, 209, 210, 236, 279]);

function refusedOr(error: unknown): LightningError {
  const code = serverCode(error);
  if (code === null || worldCodes.has(code)) return unavailable(error);
  return new LightningError("query-refused", `ClickHouse: ${messageOf(error)}`, {
    cause: error,
    serverCode: code,
  });
}

type KnownServer = { readonly database: string; readonly tableFunctions: readonly string[] };
const servers = new WeakMap<ClickHouseClient, Promise<KnownServer>>();

/** What the server of a client is, asked once. */
async function guardOf(client: ClickHouseClient): Promise<KnownServer> {
  const asked = servers.get(client) ?? ask(client);
  servers.set(client, asked);
  try {
    return await asked;
  } catch (error) {
    servers.delete(client);
    throw error;
  }
}

async function ask(client: ClickHouseClient): Promise<KnownServer> {
  const [row] = await rowsOf<KnownServer>(
    client,
    `SELECT currentDatabase() AS database,
       (SELECT groupArray(name) FROM system.table_functions) AS tableFunctions`,
  );
  if (row === undefined) throw new LightningError("clickhouse-unavailable", "no answer to SELECT");
  return row;
}
