import { LightningError } from "../../../schemas/errors.ts";
import {
  type ClickHouseClient,
  connectClickHouse,
  rowsOf,
} from "../../../sinks/clickhouse/client.ts";
import {
  bundledMigrations,
  type Migration,
  quoteIdentifier,
} from "../../../sinks/clickhouse/migrate.ts";
import type { Values } from "../../config.ts";
import { reasonOf } from "../command.ts";
import { type Finding, fail, ok, shortMessage, warn, withoutPassword } from "./finding.ts";

/** ClickHouse's numbers for a login it refuses and for what is not there. */
const codes = { unknownTable: 60, unknownDatabase: 81, refused: [192, 193, 194, 516] } as const;

const start = "start `lightning up`, or set CLICKHOUSE_URL to a server that runs";

/** ClickHouse: whether it answers, its version, and whether its tables are this build's. */
export async function checkClickHouse(values: Values): Promise<Finding[]> {
  const { CLICKHOUSE_URL: url, CLICKHOUSE_DATABASE: database } = values;
  if (url === "") return [fail("ClickHouse: CLICKHOUSE_URL is not set", start)];
  const where = `ClickHouse at ${withoutPassword(url)}`;
  const client = connectClickHouse({
    url,
    // It always exists; ours may not yet.
    database: "default",
    username: values.CLICKHOUSE_USER,
    password: values.CLICKHOUSE_PASSWORD,
    timeoutMs: 5000,
  });
  try {
    const [row] = await rowsOf<{ version: string }>(client, "SELECT version() AS version");
    const version = `${where}, version ${row?.version ?? "unknown"}`;
    const applied = await appliedMigrations(client, database);
    return [judgeMigrations(version, database, applied, bundledMigrations())];
  } catch (error) {
    return [judgeFailure(where, error)];
  } finally {
    await client.close();
  }
}

type Applied = Pick<Migration, "version" | "name" | "checksum">;

/** Null when the database has none of our tables. */
async function appliedMigrations(
  client: ClickHouseClient,
  database: string,
): Promise<Applied[] | null> {
  try {
    return await rowsOf<Applied>(
      client,
      `SELECT version, any(name) AS name, any(checksum) AS checksum
       FROM ${quoteIdentifier(database)}.schema_migrations GROUP BY version ORDER BY version`,
    );
  } catch (error) {
    const code = error instanceof LightningError ? error.fields.serverCode : null;
    if (code === codes.unknownTable || code === codes.unknownDatabase) return null;
    throw error;
  }
}

/** @param applied null when the database has none of our tables. */
export function judgeMigrations(
  where: string,
  database: string,
  applied: readonly Applied[] | null,
  bundled: readonly Migration[],
): Finding {
  const changed = (applied ?? []).find(
    ({ version, checksum }) =>
      bundled.find((own) => own.version === version)?.checksum !== checksum,
  );
  if (changed !== undefined) {
    return fail(
      `${where}: database ${database} has migration ${changed.version} (${changed.name}) of another build`,
      "start the build that made it, or choose another CLICKHOUSE_DATABASE",
    );
  }
  const count = `${applied?.length ?? 0} of ${bundled.length} migrations in database ${database}`;
  if (applied?.length === bundled.length) return ok(`${where}, ${count}`);
  return warn(`${where}, ${count}`, "`lightning clickhouse` and `lightning up` apply the others");
}

function judgeFailure(where: string, error: unknown): Finding {
  const code = error instanceof LightningError ? error.fields.serverCode : null;
  if (typeof code !== "number") {
    const cause = error instanceof LightningError ? error.cause : error;
    return fail(`${where}: ${reasonOf(cause)}`, start);
  }
  if ((codes.refused as readonly number[]).includes(code)) {
    const advice = "check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD";
    return fail(`${where} refuses the login (code ${code})`, advice);
  }
  return fail(`${where}: ${shortMessage(error)}`, "see the server's log");
}
