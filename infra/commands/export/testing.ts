import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tagged } from "../../../schemas/records.ts";
import type { TransitionRecorded } from "../../../schemas/types.ts";
import type { ClickHouseClient } from "../../../sinks/clickhouse/client.ts";
import { createClickHouseSink } from "../../../sinks/clickhouse/sink.ts";
import { openTestDatabase } from "../../../sinks/clickhouse/test-database.ts";
import { groupClosed, transition } from "../../../sinks/clickhouse/test-records/credit.ts";
import { delivery } from "../../../sinks/clickhouse/test-records/delivery.ts";
import { exportWith } from "../export.ts";
import { readExportOptions } from "./options.ts";

/** A line of JSONL. */
export type Line = Record<string, unknown>;

export type ExportBench = Awaited<ReturnType<typeof openExportBench>>;

/** For tests: a database to fill, and a folder to export into. */
export async function openExportBench() {
  const db = await openTestDatabase();
  const folder = mkdtempSync(join(tmpdir(), "lightning-export-"));
  let offset = 0;
  const path = (name: string): string => join(folder, name);
  async function write(records: readonly Tagged[]): Promise<void> {
    const sink = createClickHouseSink({ client: db.client });
    await sink.write(delivery("transitions", records, offset));
    offset += records.length;
  }
  async function run(
    project: string,
    args: readonly string[],
    client: ClickHouseClient = db.client,
  ): Promise<void> {
    await exportWith(client, readExportOptions(args, Date.now()), project);
  }
  return {
    client: db.client,
    path,
    write,
    run,
    /** One group, closed in one revision; every member is a rollout of one step unless told. */
    async group(
      project: string,
      id: string,
      members: readonly Partial<TransitionRecorded>[],
      closing: Parameters<typeof groupClosed>[0] = {},
    ): Promise<void> {
      const named = members.map((values, i) => ({ rollout_id: `${id}-${i}`, ...values }));
      const rows = named.map((values) => transition({ project, group_id: id, ...values }));
      const names = [...new Set(named.map(({ rollout_id }) => rollout_id))];
      const closed = { project, group_id: id, members: names, transitions: rows.length };
      await write([...rows, groupClosed({ ...closed, ...closing })]);
    },
    async exported(project: string, args: readonly string[]): Promise<Line[]> {
      const out = path(`${project}-${Math.random()}.jsonl`);
      await run(project, [...args, "--out", out]);
      const lines = readFileSync(out, "utf8").split("\n").slice(0, -1);
      return lines.map((line) => JSON.parse(line) as Line);
    },
    async close(): Promise<void> {
      await db.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What a model saw and said, as a transition has it. */
export function said(prompt: readonly string[], answer: string): Partial<TransitionRecorded> {
  const roles = ["user", "assistant"];
  const messages = prompt.map((content, i) => ({ role: roles[i % 2], content }));
  return {
    messages: JSON.stringify(messages),
    completion: JSON.stringify({ role: "assistant", content: answer }),
  };
}

/** For `assert.throws` and `assert.rejects`: a call of ours was wrong, in these words. */
export const wrong = (pattern: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, "request-invalid");
  assert.match((error as Error).message, pattern);
  return true;
};
