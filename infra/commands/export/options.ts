import { parseArgs } from "node:util";
import { LightningError } from "../../../schemas/errors.ts";
import { isProjectName } from "../../../schemas/topics.ts";
import type { ExportFilter } from "../../../sinks/clickhouse/queries-export.ts";
import { dataOption, wholeNumber, wrongUse } from "../command.ts";
import type { Kind, Shape } from "./kind.ts";
import { messagesKind } from "./messages.ts";
import { preferencesKind } from "./preferences.ts";
import { rowsKind } from "./rows.ts";
import { transitionsKind } from "./transitions.ts";

/** What can be exported, by name. */
export const kinds: Readonly<Record<string, Kind>> = {
  transitions: transitionsKind,
  rows: rowsKind,
  preferences: preferencesKind,
  messages: messagesKind,
};

export type Format = "jsonl" | "parquet";

export type ExportOptions = {
  readonly kind: Kind;
  readonly format: Format;
  readonly project: string | null;
  readonly filter: ExportFilter;
  readonly shape: Shape;
  /** Most records; null: all. */
  readonly limit: number | null;
  /** Null: standard output. */
  readonly out: string | null;
  readonly resume: boolean;
  readonly data: string;
  /** Everything that decides what is written, as it was given. */
  readonly call: Readonly<Record<string, string>>;
};

const text = { type: "string" } as const;
const flag = { type: "boolean", default: false } as const;

/** @throws LightningError `request-invalid` naming the option, what was read and what is allowed. */
export function readExportOptions(args: readonly string[], now: number): ExportOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...dataOption,
      ...{ project: text, format: text, out: text, policy: text, agent: text, mode: text },
      ...{ "min-reward": text, "max-reward": text, "policy-version": text, since: text },
      ...{ until: text, limit: text, level: text, style: text, pairs: text, margin: text },
      ...{ provenance: flag, resume: flag },
    },
  });
  const { data, out = null, resume, ...rest } = values;
  const format = formatOf(values.format, out);
  const call = { kind: positionals.join(" "), ...textsOf(rest), format };
  if (resume && out === null) throw wrongUse("export", "--resume needs --out");
  if (format === "parquet" && out === null) {
    throw wrongUse("export", "--format parquet needs --out DIR: it is a folder of part files");
  }
  return {
    kind: kindOf(positionals),
    format,
    project: projectOf(values.project),
    filter: filterOf(values, now),
    shape: shapeOf(values),
    limit: values.limit === undefined ? null : wholeNumber("export", "--limit", values.limit),
    out,
    resume,
    data,
    call,
  };
}

type Given = { readonly [name: string]: string | boolean | undefined };

function textsOf(values: Given): Record<string, string> {
  const given = Object.entries(values).filter(([, v]) => v !== undefined && v !== false);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

function kindOf(words: readonly string[]): Kind {
  const [name] = words;
  const kind =
    words.length === 1 && name !== undefined && Object.hasOwn(kinds, name) && kinds[name];
  if (kind) return kind;
  const read = words.length === 0 ? "nothing" : JSON.stringify(words.join(" "));
  throw wrongUse("export", `what: read ${read}, allowed are ${Object.keys(kinds).join(", ")}`);
}

function formatOf(given: string | undefined, out: string | null): Format {
  const ending = out?.toLowerCase().endsWith(".parquet") === true ? "parquet" : "jsonl";
  return oneOf("--format", given ?? ending, ["jsonl", "parquet"]);
}

function projectOf(given: string | undefined): string | null {
  if (given === undefined || isProjectName(given)) return given ?? null;
  const allowed = "allowed are letters, digits, dot, underscore and dash, at most 64";
  throw wrongUse("export", `--project is ${JSON.stringify(given)}, ${allowed}`);
}

function oneOf<T extends string>(option: string, given: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === given.toLowerCase());
  if (found !== undefined) return found;
  const read = JSON.stringify(given);
  throw wrongUse("export", `${option} is ${read}, allowed are ${allowed.join(", ")}`);
}

type Texts = { readonly [name: string]: string | boolean | undefined };

function textIn(values: Texts, name: string): string | null {
  const value = values[name];
  return typeof value === "string" ? value : null;
}

function filterOf(values: Texts, now: number): ExportFilter {
  const [minVersion, maxVersion] = versionsOf(textIn(values, "policy-version"));
  const filter = {
    minReward: numberOf("--min-reward", textIn(values, "min-reward")),
    maxReward: numberOf("--max-reward", textIn(values, "max-reward")),
    policy: textIn(values, "policy"),
    minVersion,
    maxVersion,
    agent: textIn(values, "agent"),
    since: timeOf("--since", textIn(values, "since"), now),
    until: timeOf("--until", textIn(values, "until"), now),
    mode: textIn(values, "mode"),
  };
  checkOrder("--min-reward", filter.minReward, "--max-reward", filter.maxReward);
  checkOrder("--since", filter.since, "--until", filter.until);
  return filter;
}

function checkOrder(low: string, from: number | null, high: string, to: number | null): void {
  if (from === null || to === null || from <= to) return;
  throw wrongUse("export", `${low} is above ${high}: nothing can be between them`);
}

function shapeOf(values: Texts): Shape {
  const pairs = wholeNumber("export", "--pairs", textIn(values, "pairs") ?? "1");
  const margin = numberOf("--margin", textIn(values, "margin")) ?? Number.MIN_VALUE;
  if (pairs === 0) throw wrongUse("export", "--pairs is 0, allowed is a whole number from 1");
  if (margin <= 0) throw wrongUse("export", `--margin is ${margin}, allowed is a number above 0`);
  return {
    level: oneOf("--level", textIn(values, "level") ?? "transition", ["transition", "trajectory"]),
    style: oneOf("--style", textIn(values, "style") ?? "verl", ["verl", "trl"]),
    pairs,
    margin,
    provenance: values.provenance === true,
  };
}

function numberOf(option: string, given: string | null): number | null {
  if (given === null) return null;
  const value = given.trim() === "" ? Number.NaN : Number(given);
  if (Number.isFinite(value)) return value;
  throw wrongUse("export", `${option} is ${JSON.stringify(given)}, allowed is a number`);
}

/** `3`, `3..5`, `3..` and `..5`. */
function versionsOf(given: string | null): readonly [number | null, number | null] {
  if (given === null) return [null, null];
  const [, from = "", range, to = ""] = /^(\d{0,15})(\.\.)?(\d{0,15})$/.exec(given) ?? [];
  const low = from === "" ? null : Number(from);
  const high = range === undefined ? low : to === "" ? null : Number(to);
  const wrong = (low === null && high === null) || (low ?? 0) > (high ?? low ?? 0);
  if (!wrong) return [low, high];
  const allowed = "allowed are a version as 3, and ranges as 3..5, 3.. and ..5";
  throw wrongUse("export", `--policy-version is ${JSON.stringify(given)}, ${allowed}`);
}

const spans: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };

/** A time as µs since epoch: ISO 8601, UTC unless it says otherwise, or so long ago (`90m`). */
function timeOf(option: string, given: string | null, now: number): number | null {
  if (given === null) return null;
  const [, count, unit = ""] = /^(\d{1,9})([mhd])$/.exec(given) ?? [];
  if (count !== undefined) return (now - Number(count) * (spans[unit] ?? 0) * 1000) * 1000;
  const date = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.exec(given);
  const zoned = date?.[1] !== undefined && date[4] === undefined ? `${given}Z` : given;
  const millis = date === null ? Number.NaN : Date.parse(zoned.replace(" ", "T"));
  if (!Number.isNaN(millis)) return millis * 1000;
  const allowed = "allowed are a time as 2026-09-21T10:00:00Z and an age as 90m, 24h or 7d";
  throw wrongUse("export", `${option} is ${JSON.stringify(given)}, ${allowed}`);
}

/** A file or folder that cannot be written, as an error that says which and why. */
export function fileFault(path: string, error: unknown): LightningError {
  const { code, message } = error as NodeJS.ErrnoException;
  const why: Readonly<Record<string, string>> = {
    ENOENT: "its folder does not exist",
    EACCES: "it may not be written",
    ENOSPC: "the disk is full; --resume goes on when there is room",
    ENOTDIR: "a part of the path is a file",
  };
  return new LightningError("request-invalid", `--out ${path}: ${why[code ?? ""] ?? message}`, {
    cause: error,
  });
}
