import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { LightningError } from "../../schemas/errors.ts";
import { type ClickHouseClient, command, rowsOf } from "./client.ts";

export type Migration = {
  readonly version: number;
  readonly name: string;
  /** SHA-256 of the file, hex. */
  readonly checksum: string;
  readonly statements: readonly string[];
};

export type MigrateOptions = {
  /** Made when it does not exist. */
  readonly database: string;
  /** Told of every migration that was applied; facts as fields. */
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** The bundled ones unless given. */
  readonly migrations?: readonly Migration[];
};

const folder = new URL("tables/", import.meta.url);

/** The migrations of this build, oldest first: `tables/<version>-<name>.sql`. */
export function bundledMigrations(): readonly Migration[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".sql"));
  return files.sort().map((file) => {
    return parseMigration(file, readFileSync(new URL(file, folder), "utf8"));
  });
}

/** A migration from its file; statements end with a semicolon at the end of a line. */
export function parseMigration(file: string, source: string): Migration {
  const version = Number(file.slice(0, 4));
  const statements = source
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.replace(/^\s*--.*$/gm, "").trim())
    .filter((statement) => statement !== "");
  return {
    version,
    name: file.slice(5, -".sql".length),
    checksum: createHash("sha256").update(source).digest("hex"),
    statements,
  };
}

type Applied = { readonly version: number; readonly name: string; readonly checksum: string };

/**
 * Brings the database to this build's tables; returns the versions it applied. The client must be
 * on a database that exists (`default` always does).
 *
 * Any number of processes may do this at the same time and any may die half-way: ClickHouse has no
 * lock to offer, so every statement is one that can be run again (a test holds this), each starter
 * runs all that is not noted yet, and a version is noted, once, after its last statement.
 *
 * Throws `data-folder-incompatible` when the database was migrated by a newer build or a migration
 * was changed after it had been applied, `clickhouse-unavailable` when ClickHouse cannot be asked.
 */
export async function migrate(
  client: ClickHouseClient,
  { database, log, migrations = bundledMigrations() }: MigrateOptions,
): Promise<readonly number[]> {
  const quoted = quoteIdentifier(database);
  await command(client, `CREATE DATABASE IF NOT EXISTS ${quoted}`);
  await command(client, versionsTable(quoted));
  const applied = await appliedMigrations(client, quoted);
  check(database, applied, migrations);
  const done: number[] = [];
  for (const migration of migrations) {
    if (applied.some(({ version }) => version === migration.version)) continue;
    for (const statement of migration.statements) {
      await command(client, statement.replaceAll("{database}", quoted));
    }
    await note(client, quoted, migration);
    log("applied a ClickHouse migration", { version: migration.version, name: migration.name });
    done.push(migration.version);
  }
  return done;
}

function versionsTable(database: string): string {
  return `CREATE TABLE IF NOT EXISTS ${database}.schema_migrations
(version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ReplacingMergeTree ORDER BY version
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000`;
}

async function appliedMigrations(client: ClickHouseClient, database: string): Promise<Applied[]> {
  return rowsOf<Applied>(
    client,
    `SELECT version, any(name) AS name, any(checksum) AS checksum
     FROM ${database}.schema_migrations GROUP BY version ORDER BY version`,
  );
}

function check(database: string, applied: readonly Applied[], migrations: readonly Migration[]) {
  for (const { version, name, checksum } of applied) {
    const own = migrations.find((migration) => migration.version === version);
    if (own === undefined) {
      throw new LightningError(
        "data-folder-incompatible",
        `ClickHouse database ${database} has migration ${version} (${name}), this build knows none ` +
          `above ${migrations.at(-1)?.version ?? 0}: start a newer build, or another database`,
        { database, version },
      );
    }
    if (own.checksum !== checksum) {
      throw new LightningError(
        "data-folder-incompatible",
        `ClickHouse database ${database} was made with another text of migration ${version} ` +
          `(${name}): checksum read ${checksum}, this build has ${own.checksum}; start the build ` +
          "that made it, or another database",
        { database, version },
      );
    }
  }
}

async function note(client: ClickHouseClient, database: string, migration: Migration) {
  const { version, name, checksum } = migration;
  // The names are the repository's own file names and a hash: nothing to escape.
  await command(
    client,
    `INSERT INTO ${database}.schema_migrations (version, name, checksum)
     VALUES (${version}, '${name}', '${checksum}')`,
    { insert_deduplication_token: `migration/${version}`, wait_end_of_query: 1, async_insert: 0 },
  );
}

/** An identifier in back quotes; throws `config-invalid` for what should not be a database's name. */
export function quoteIdentifier(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) {
    throw new LightningError(
      "config-invalid",
      `ClickHouse database: read ${JSON.stringify(name)}, allowed are letters, digits and underscore`,
      { database: name },
    );
  }
  return `\`${name}\``;
}
