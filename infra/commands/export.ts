import type { TransitionRecorded } from "../../schemas/types.ts";
import type { ClickHouseClient } from "../../sinks/clickhouse/client.ts";
import {
  type ClosedGroup,
  exportEnds,
  exportGroups,
  exportTotals,
  exportTransitions,
  parquetOf,
  patternFault,
} from "../../sinks/clickhouse/queries-export.ts";
import { configWithAddresses } from "../addresses.ts";
import { clickHouseOf } from "../roles.ts";
import { type Command, remark, wrongUse } from "./command.ts";
import type { Column, ExportRecord } from "./export/kind.ts";
import { type ExportOptions, kinds, readExportOptions } from "./export/options.ts";
import {
  earlier,
  jsonlFile,
  type Output,
  type Position,
  parquetFolder,
  partOf,
  standardOutput,
} from "./export/output.ts";
import { createProgress, type Progress } from "./export/progress.ts";
import { exportUsage } from "./export/usage.ts";

/** `lightning export`. */
export const exportCommand: Command = {
  doc: `${Object.keys(kinds).join(", ")} from ClickHouse, as JSONL or Parquet`,
  usage: exportUsage,
  async run(args) {
    const options = readExportOptions(args, Date.now());
    const values = configWithAddresses(options.data, ["CLICKHOUSE_URL"]);
    const client = clickHouseOf(values);
    try {
      await exportWith(client, options, options.project ?? values.LIGHTNING_PROJECT);
    } finally {
      await client.close();
    }
  },
};

type Run = {
  readonly client: ClickHouseClient;
  readonly project: string;
  readonly options: ExportOptions;
  readonly output: Output;
  readonly progress: Progress;
};

/**
 * Writes what the options ask for. What is read is fixed at the start (the closed groups of the log
 * up to an offset), and groups come in order of their ids: an export that was cut off and resumed is
 * byte for byte what it would have been. Holds one group and one page at a time.
 */
export async function exportWith(
  client: ClickHouseClient,
  given: ExportOptions,
  project: string,
): Promise<void> {
  const startedAt = Date.now();
  const options = { ...given, call: { ...given.call, project } };
  const begun = await earlier(options);
  if (begun === "done") return remark(`${options.out} is complete already`);
  await checkPattern(client, options);
  const start = begun ?? (await firstPosition(client, options, project));
  const totals = await exportTotals(client, { project, ends: start.ends });
  const output = await outputOf(client, options, begun);
  const progress = createProgress(process.stderr, totals.transitions, start.transitions);
  try {
    if (begun === null) await output.reached(start);
    const end = await writeAll({ client, project, options, output, progress }, start);
    await output.finish();
    progress.end();
    remark(summary(end, options, (Date.now() - startedAt) / 1000));
  } catch (error) {
    progress.end();
    if (options.out !== null) remark(`${partOf(options.out)} holds what was written: --resume`);
    throw error;
  } finally {
    await output.close();
  }
}

async function checkPattern(client: ClickHouseClient, { filter }: ExportOptions): Promise<void> {
  if (filter.agent === null) return;
  const fault = await patternFault(client, filter.agent);
  if (fault !== null) {
    throw wrongUse(
      "export",
      `--agent is ${JSON.stringify(filter.agent)}, no RE2 pattern: ${fault}`,
    );
  }
}

async function firstPosition(
  client: ClickHouseClient,
  { call, filter }: ExportOptions,
  project: string,
): Promise<Omit<Position, "written">> {
  const ends = await exportEnds(client, project);
  return { call, filter, ends, after: null, groups: 0, transitions: 0, records: 0, skipped: {} };
}

async function outputOf(
  client: ClickHouseClient,
  { out, format, kind, shape }: ExportOptions,
  begun: Position | null,
): Promise<Output> {
  if (out === null) return standardOutput();
  if (format === "jsonl") return jsonlFile(out, begun);
  const columns = kind.columns(shape);
  return parquetFolder(out, begun, (lines) => parquetOf(client, columns, lines));
}

/** Groups asked for at a time, and rows of one query unless a group alone has more. */
const groupsAtOnce = 512;
const rowsAtOnce = 2000;

async function writeAll(run: Run, start: Omit<Position, "written">) {
  let at = start;
  for (;;) {
    const { ends, after } = at;
    const groups = await exportGroups(
      run.client,
      { project: run.project, ends, after },
      groupsAtOnce,
    );
    if (groups.length === 0) return at;
    for (const page of pagesOf(groups)) {
      at = await writePage(run, page, at);
      if (isFull(run.options, at)) return at;
      await run.output.reached(at);
      run.progress.show(at.transitions, at.records);
    }
  }
}

function isFull({ limit }: ExportOptions, { records }: Pick<Position, "records">): boolean {
  return limit !== null && records >= limit;
}

/** Neighbouring groups of at most {@link rowsAtOnce} transitions together, or one. */
export function pagesOf(groups: readonly ClosedGroup[]): ClosedGroup[][] {
  const pages: ClosedGroup[][] = [];
  let rows = 0;
  for (const group of groups) {
    const page = pages.at(-1);
    if (page === undefined || rows + group.transitions > rowsAtOnce) {
      pages.push([group]);
      rows = group.transitions;
    } else {
      page.push(group);
      rows += group.transitions;
    }
  }
  return pages;
}

async function writePage(
  run: Run,
  page: readonly ClosedGroup[],
  start: Omit<Position, "written">,
): Promise<Omit<Position, "written">> {
  const { kind, shape, limit } = run.options;
  const line = lineOf(run.options.format, kind.columns(shape));
  const skipped: Record<string, number> = { ...start.skipped };
  let records = start.records;
  for await (const group of wholeGroups(run, page, start)) {
    const shaped = kind.recordsOf(group, shape);
    for (const [reason, count] of Object.entries(shaped.skipped)) {
      skipped[reason] = (skipped[reason] ?? 0) + count;
    }
    for (const record of shaped.records) {
      if (limit !== null && records >= limit) break;
      await run.output.append(line(record));
      records += 1;
    }
  }
  return {
    ...start,
    after: page.at(-1)?.group_id ?? start.after,
    groups: start.groups + page.length,
    transitions: start.transitions + page.reduce((sum, group) => sum + group.transitions, 0),
    records,
    skipped,
  };
}

async function* wholeGroups(
  { client, project }: Run,
  page: readonly ClosedGroup[],
  { filter }: Pick<Position, "filter">,
): AsyncGenerator<readonly TransitionRecorded[]> {
  let group: TransitionRecorded[] = [];
  for await (const transition of exportTransitions(client, project, page, filter)) {
    if (group[0] !== undefined && group[0].group_id !== transition.group_id) {
      yield group;
      group = [];
    }
    group.push(transition);
  }
  if (group.length > 0) yield group;
}

/** A record as a line: in JSONL any JSON value, for Parquet text where the column is text. */
function lineOf(
  format: ExportOptions["format"],
  columns: readonly Column[],
): (record: ExportRecord) => string {
  if (format === "jsonl") return (record) => JSON.stringify(record);
  const texts = columns.filter(({ json }) => json === true).map(({ name }) => name);
  return (record) => {
    const flat: Record<string, unknown> = { ...record };
    for (const name of texts) flat[name] = textIn(record[name]);
    return JSON.stringify(flat);
  };
}

function textIn(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

function summary(
  end: Pick<Position, "records" | "groups" | "skipped">,
  { out }: ExportOptions,
  seconds: number,
): string {
  const count = (n: number): string => n.toLocaleString("en-US");
  const where = out === null ? "" : ` → ${out}`;
  const left = Object.entries(end.skipped).filter(([, n]) => n > 0);
  const why = left.map(([reason, n]) => `${count(n)} ${reason}`).join(", ");
  const head = `${count(end.records)} records from ${count(end.groups)} groups in ${seconds.toFixed(1)} s${where}`;
  return why === "" ? head : `${head}; left out: ${why}`;
}
