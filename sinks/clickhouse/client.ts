import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from "@clickhouse/client";
import { LightningError, messageOf } from "../../schemas/errors.ts";

export type { ClickHouseClient };

export type ClickHouseAddress = {
  /** http or https, e.g. http://127.0.0.1:8123. */
  readonly url: string;
  /** Must exist for anything but `migrate`, which makes it. */
  readonly database: string;
  readonly username?: string;
  readonly password?: string;
  /** How long an answer may take, ms. */
  readonly timeoutMs?: number;
};

/** A client with the settings that the sink and the queries count on. */
export function connectClickHouse(address: ClickHouseAddress): ClickHouseClient {
  return createClient({
    url: address.url,
    database: address.database,
    ...(address.username === undefined ? {} : { username: address.username }),
    ...(address.password === undefined ? {} : { password: address.password }),
    request_timeout: address.timeoutMs ?? 30_000,
    application: "lightning-stream",
    max_open_connections: 16,
    // The engine closes idle connections after some seconds; ours go first, so that no request
    // meets a connection that is being closed.
    keep_alive: { enabled: true, idle_socket_ttl: 2_000 },
    // What goes wrong is thrown, with a code; the client's own log would say it twice, with the rows.
    log: { level: ClickHouseLogLevel.OFF },
    // Our integers fit a double (schemas/), and a quoted number would have to be told from text.
    // NaN and infinities come as text, see `double`; otherwise they would be null.
    clickhouse_settings: {
      output_format_json_quote_64bit_integers: 0,
      output_format_json_quote_denormals: 1,
    },
  });
}

/** Runs a statement that answers nothing. */
export async function command(
  client: ClickHouseClient,
  query: string,
  settings: ClickHouseSettings = {},
): Promise<void> {
  try {
    await client.command({ query, clickhouse_settings: settings });
  } catch (error) {
    throw unavailable(error);
  }
}

export type Parameters = Readonly<Record<string, unknown>>;

/** Rows of a query of ours; throws `clickhouse-unavailable` when it cannot be answered. */
export async function rowsOf<R>(
  client: ClickHouseClient,
  query: string,
  parameters: Parameters = {},
  settings: ClickHouseSettings = {},
): Promise<R[]> {
  try {
    const result = await client.query({
      query,
      format: "JSONEachRow",
      query_params: { ...parameters },
      clickhouse_settings: settings,
    });
    return await result.json<R>();
  } catch (error) {
    throw unavailable(error);
  }
}

/**
 * Rows of a query that ends with a LIMIT, and how many there would be without it: counted on the
 * way, so that it costs no second query. Throws `clickhouse-unavailable`.
 */
export async function pageOf<R>(
  client: ClickHouseClient,
  query: string,
  parameters: Parameters = {},
  settings: ClickHouseSettings = {},
): Promise<{ readonly rows: readonly R[]; readonly total: number }> {
  try {
    const result = await client.query({
      query,
      format: "JSON",
      query_params: { ...parameters },
      clickhouse_settings: { ...settings, exact_rows_before_limit: 1 },
    });
    const { data, rows_before_limit_at_least: total } = await result.json<R>();
    return { rows: data, total: total ?? data.length };
  } catch (error) {
    throw unavailable(error);
  }
}

/** ClickHouse's number of an error, or null when the server did not get to answer. */
export function serverCode(error: unknown): number | null {
  return error instanceof ClickHouseError ? Number(error.code) : null;
}

/** The error as one to try again after; ours stay as they are. */
export function unavailable(error: unknown): LightningError {
  if (error instanceof LightningError) return error;
  const code = serverCode(error);
  const what = code === null ? "did not answer" : `refused with code ${code}`;
  return new LightningError("clickhouse-unavailable", `ClickHouse ${what}: ${messageOf(error)}`, {
    cause: error,
    serverCode: code,
  });
}

/** A value as ClickHouse literal, for the few places where a parameter does not fit. */
export function literal(value: string | number): string {
  if (typeof value === "number") return String(value);
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** Values as a list to stand behind IN: as a parameter a long one would not fit the URL. */
export function literals(values: readonly (string | number)[]): string {
  return values.length === 0 ? "(NULL)" : `(${values.map(literal).join(", ")})`;
}

/** For statements with {@link literals} in them. */
export const longQuery = { max_query_size: String(64 * 1024 * 1024) } as const;

/** A floating point number of an answer; JSON has no number for nan, inf and -inf. */
export function double(value: unknown): number {
  if (typeof value === "number") return value;
  const sign = String(value).startsWith("-") ? -1 : 1;
  return String(value).endsWith("inf") ? sign * Number.POSITIVE_INFINITY : Number.NaN;
}
