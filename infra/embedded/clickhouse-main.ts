import { codeOf, messageOf } from "../../schemas/errors.ts";
import { createLog, type LogLevel } from "../log.ts";
import { startClickHouseServer } from "./clickhouse.ts";
import type { ClickHouseMessage } from "./clickhouse-process.ts";

/** The process that `launchClickHouse` starts: data folder, port, pool threads and log level. */
const [dataDir = "", port = "0", poolThreads = "4", level = "warn"] = process.argv.slice(2);

function tell(message: ClickHouseMessage): Promise<void> {
  return new Promise((sent) => {
    if (process.send === undefined) sent();
    else process.send(message, () => sent());
  });
}

try {
  const server = await startClickHouseServer({
    dataDir,
    port: Number(port),
    poolThreads: Number(poolThreads),
    log: createLog(level as LogLevel, "embedded-clickhouse"),
  });
  const end = async () => {
    await server.close();
    process.exit(0);
  };
  process.once("SIGTERM", end);
  process.once("disconnect", end);
  await tell({ ready: { url: server.url, version: server.version } });
} catch (error) {
  await tell({
    failed: { code: codeOf(error) ?? "embedded-start-failed", message: messageOf(error) },
  });
  process.exit(1);
}
