import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { pino } from "pino";
import { type ClickHouse, startClickHouseServer } from "../embedded/clickhouse.ts";

const folder = mkdtempSync(join(tmpdir(), "lightning-clickhouse-"));
const log = pino({ level: "silent" });
const options = { dataDir: folder, port: 0, log, maxInsertBytes: 1_000_000, poolThreads: 4 };
let server: ClickHouse;
let client: ReturnType<typeof createClient>;

/** The embedded ClickHouse of a test file: one engine per process is all there can be. */
export const clickhouse = {
  folder,
  log,
  options,
  url: () => server.url,
  client: () => client,
  async stop(): Promise<void> {
    await server.close();
  },
  /** Starts it again where it was. */
  async start(): Promise<void> {
    server = await startClickHouseServer({ ...options, port: Number(new URL(server.url).port) });
  },
};

before(async () => {
  server = await startClickHouseServer(options);
  client = createClient({
    url: server.url,
    compression: { request: true, response: true },
    log: { level: ClickHouseLogLevel.OFF },
  });
});
after(async () => {
  await client.close();
  await server.close();
  rmSync(folder, { recursive: true });
});

let tables = 0;
export async function newTable(columns = "a UInt64, s String"): Promise<string> {
  const name = `t${++tables}`;
  await client.command({
    query: `CREATE TABLE ${name} (${columns}) ENGINE MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 1000`,
  });
  return name;
}

export async function rows(query: string): Promise<unknown[]> {
  return (await client.query({ query, format: "JSONEachRow" })).json();
}

export function raw(
  query: string,
  init: RequestInit = {},
  parameters: Record<string, string> = {},
): Promise<Response> {
  const search = new URLSearchParams(query === "" ? parameters : { query, ...parameters });
  return fetch(`${server.url}/?${search}`, init);
}
