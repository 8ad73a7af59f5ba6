import { text as readText } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { type Question, questions } from "../../sinks/clickhouse/questions.ts";
import { queryFormats, readOnlySql } from "../../sinks/clickhouse/sql-query.ts";
import { configWithAddresses, defaultDataDir } from "../addresses.ts";
import { clickHouseOf } from "../roles.ts";
import { type Command, dataOption, dataUsage, print, remark, wrongUse } from "./command.ts";
import { formatTable, printableLines } from "./table.ts";

/** Short names, and what they are called at ClickHouse. */
const aliases: Readonly<Record<string, string>> = {
  json: "JSON",
  jsonl: "JSONEachRow",
  csv: "CSVWithNames",
  tsv: "TSVWithNames",
  md: "Markdown",
};

/** `lightning sql`. */
export const sqlCommand: Command = {
  doc: "ask ClickHouse: any query that only reads, or a named question",
  usage: `lightning sql "SELECT …" [--format FORMAT] [--data DIR]
lightning sql - < query.sql
lightning sql --question NAME [--format FORMAT]
lightning sql --questions

  -                  read the query from standard input
  --format FORMAT    table (on a terminal, unless told), tsv (otherwise), json, jsonl, csv, md,
                     or one of ClickHouse's: ${queryFormats.slice(0, 8).join(", ")},
                     ${queryFormats.slice(8).join(", ")}
  --question NAME    one of the questions that come with the tables, for LIGHTNING_PROJECT
  --questions        list them
${dataUsage}

  lightning sql "SELECT name, count() FROM spans GROUP BY name"
  lightning sql --question reward-by-policy-version
  lightning sql "SHOW TABLES"`,
  run,
};

type Options = { format?: string; question?: string; questions?: boolean; data?: string };

async function run(args: readonly string[]): Promise<void> {
  const { values: options, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...dataOption,
      format: { type: "string" },
      question: { type: "string" },
      questions: { type: "boolean" },
    },
  });
  if (options.questions === true) return print(listQuestions(questions()));
  const onTerminal = process.stdout.isTTY === true;
  const format = formatOf(options.format ?? (onTerminal ? "table" : "tsv"));
  const values = configWithAddresses(options.data ?? defaultDataDir, ["CLICKHOUSE_URL"]);
  const query = await queryOf(options, positionals, values.LIGHTNING_PROJECT);
  const client = clickHouseOf(values);
  try {
    const answer = await readOnlySql(client, query, format === "table" ? "TSVWithNames" : format);
    if (format === "table") return showTable(answer, onTerminal ? 80 : undefined);
    const shown = answer.replace(/\n$/, "");
    print(onTerminal ? printableLines(shown) : shown);
  } finally {
    await client.close();
  }
}

/** ClickHouse's name of a format, or `table`, which is ours. */
export function formatOf(wanted: string): string {
  const name = wanted.toLowerCase();
  if (name === "table") return name;
  const known = aliases[name] ?? queryFormats.find((format) => format.toLowerCase() === name);
  if (known !== undefined) return known;
  const allowed = ["table", ...Object.keys(aliases), ...queryFormats].join(", ");
  throw wrongUse("sql", `--format is ${JSON.stringify(wanted)}, allowed are ${allowed}`);
}

async function queryOf(
  options: Options,
  words: readonly string[],
  project: string,
): Promise<string> {
  if (options.question !== undefined) {
    if (words.length > 0) throw wrongUse("sql", "give a query or --question, not both");
    // The questions are written for the default project; a project's name needs no quoting.
    return findQuestion(questions(), options.question).sql.replaceAll(
      "project = 'default'",
      `project = '${project}'`,
    );
  }
  const [query] = words;
  if (words.length > 1) {
    throw wrongUse("sql", `read ${words.length} queries: put the query in quotes, as one word`);
  }
  if (query === undefined) {
    throw wrongUse(
      "sql",
      'there is no query: lightning sql "SELECT …", or - to read it from stdin',
    );
  }
  return query === "-" ? readText(process.stdin) : query;
}

function slugOf(name: string): string {
  return name.trim().toLowerCase().replaceAll(/\s+/g, "-");
}

/** @throws LightningError `request-invalid` listing the names. */
export function findQuestion(known: readonly Question[], name: string): Question {
  const found = known.find((question) => slugOf(question.name) === slugOf(name));
  if (found !== undefined) return found;
  const names = known.map((question) => slugOf(question.name)).join(", ");
  throw wrongUse("sql", `--question is ${JSON.stringify(name)}, allowed are ${names}`);
}

function listQuestions(known: readonly Question[]): string {
  const rows = known.map(({ name, sql }) => {
    const remarks = sql.split("\n").filter((line) => line.startsWith("--"));
    return [slugOf(name), remarks.map((line) => line.slice(2).trim()).join(" ") || name];
  });
  return formatTable(["question", "what it tells"], rows);
}

function showTable(answer: string, maxWidth: number | undefined): void {
  const lines = answer.replace(/\n$/, "").split("\n");
  const [headings = [], ...rows] = lines.map(cellsOfTsv);
  print(formatTable(headings, rows, maxWidth === undefined ? {} : { maxWidth }));
  remark(rows.length === 1 ? "1 row" : `${rows.length} rows`);
}

/** Cells of a line of ClickHouse's TSV; its escapes stay, so that a cell is one line. */
export function cellsOfTsv(line: string): string[] {
  return line.split("\t").map((cell) => (cell === "\\N" ? "NULL" : cell.replaceAll("\\'", "'")));
}
