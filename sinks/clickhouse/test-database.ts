import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
// biome-ignore lint/style/noRestrictedImports: tests run against the real engine, which infra starts
import { startClickHouseServer } from "../../infra/embedded/clickhouse.ts";
import { type ClickHouseClient, connectClickHouse } from "./client.ts";
import { migrate } from "./migrate.ts";

export type TestDatabase = {
  readonly client: ClickHouseClient;
  readonly url: string;
  readonly database: string;
  close(): Promise<void>;
};

/** For tests: the real engine in a folder of its own, with this build's tables unless `bare`. */
export async function openTestDatabase({ bare = false } = {}): Promise<TestDatabase> {
  const dataDir = mkdtempSync(join(tmpdir(), "lightning-clickhouse-"));
  const server = await startClickHouseServer({ dataDir, port: 0, log: pino({ level: "silent" }) });
  const database = "lightning";
  if (!bare) {
    const first = connectClickHouse({ url: server.url, database: "default" });
    await migrate(first, { database, log: () => {} });
    await first.close();
  }
  const client = connectClickHouse({
    url: server.url,
    database: bare ? "default" : database,
  });
  return {
    client,
    url: server.url,
    database,
    async close() {
      await client.close();
      await server.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
