import { existsSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LightningError } from "../../../schemas/errors.ts";
import type { ExportEnds, ExportFilter } from "../../../sinks/clickhouse/queries-export.ts";
import type { ExportOptions } from "./options.ts";
import { fileFault } from "./options.ts";

/** How far an export is; everything it needs to go on is in here. */
export type Position = {
  /** The arguments it was started with. */
  readonly call: Readonly<Record<string, string>>;
  readonly filter: ExportFilter;
  readonly ends: ExportEnds;
  /** Last group whose records are written; null before the first. */
  readonly after: string | null;
  readonly groups: number;
  /** Transitions of the groups that are done, wanted or not. */
  readonly transitions: number;
  readonly records: number;
  readonly skipped: Readonly<Record<string, number>>;
  /** Bytes of the file, or files of the folder, that are complete. */
  readonly written: number;
};

/** Where records go: written in order, one JSON line each. */
export type Output = {
  append(line: string): Promise<void>;
  /** All before this place was appended; what is durable of it is noted. */
  reached(position: Omit<Position, "written">): Promise<void>;
  /** Makes the result appear under its name. */
  finish(): Promise<void>;
  /** Lets go of what it holds; what is not finished stays for the next time. */
  close(): Promise<void>;
};

export const partOf = (out: string): string => `${out}.part`;
const noteOf = (out: string): string => `${out}.part.json`;

/**
 * The place an earlier call left off at, or null to begin at the start; `done` when its result is
 * whole. Throws `request-invalid` when something stands in the way or the calls differ.
 */
export async function earlier(options: ExportOptions): Promise<Position | "done" | null> {
  const { out, resume } = options;
  if (out === null) return null;
  if (existsSync(out)) {
    if (resume) return "done";
    throw refused(`--out ${out} exists: name another, or remove it`);
  }
  if (!existsSync(noteOf(out))) {
    await rm(partOf(out), { recursive: true, force: true });
    return null;
  }
  if (!resume) {
    throw refused(`${partOf(out)} is an export that was cut off: --resume goes on with it`);
  }
  const position = JSON.parse(await readFile(noteOf(out), "utf8")) as Position;
  const names = new Set([...Object.keys(position.call), ...Object.keys(options.call)]);
  const differs = [...names].find((name) => position.call[name] !== options.call[name]);
  if (differs === undefined) return position;
  const [then, now] = [position.call[differs], options.call[differs]];
  throw refused(
    `${differs} was ${then ?? "not given"} when ${partOf(out)} was begun and is ${now ?? "not given"} now: --resume needs the same call`,
  );
}

function refused(message: string): LightningError {
  return new LightningError("request-invalid", message);
}

async function note(out: string, position: Position): Promise<void> {
  // A rename is whole or not at all: a crash leaves the older note.
  await writeFile(`${noteOf(out)}.new`, JSON.stringify(position), { flush: true });
  await rename(`${noteOf(out)}.new`, noteOf(out));
}

async function finished(out: string): Promise<void> {
  await rename(partOf(out), out);
  await rm(noteOf(out), { force: true });
}

const bufferedCharacters = 1024 * 1024;

/** JSON lines in one file. */
export async function jsonlFile(out: string, begun: Position | null): Promise<Output> {
  const file = await guarded(out, async () => {
    if (begun !== null) await truncate(partOf(out), begun.written);
    return open(partOf(out), begun === null ? "w" : "a");
  });
  let written = begun?.written ?? 0;
  let buffered = "";
  const flush = (): Promise<void> =>
    guarded(out, async () => {
      const bytes = Buffer.from(buffered);
      buffered = "";
      await file.appendFile(bytes);
      written += bytes.length;
    });
  return {
    async append(line) {
      buffered += `${line}\n`;
      if (buffered.length >= bufferedCharacters) await flush();
    },
    async reached(position) {
      await flush();
      await guarded(out, async () => {
        await file.datasync();
        await note(out, { ...position, written });
      });
    },
    async finish() {
      await flush();
      await guarded(out, async () => {
        await file.sync();
        await finished(out);
      });
    },
    close: () => file.close(),
  };
}

/** JSON lines on standard output, no faster than they are read. */
export function standardOutput(): Output {
  return {
    async append(line) {
      if (process.stdout.write(`${line}\n`)) return;
      await new Promise<void>((drained) => process.stdout.once("drain", drained));
    },
    async reached() {},
    async finish() {},
    async close() {},
  };
}

/** Characters of JSON that become one Parquet file: the engine takes 64 MiB of UTF-8 at a time. */
const partCharacters = 16 * 1024 * 1024;
/** From here on a file is closed at the next place one can go on from. */
const wantedCharacters = 8 * 1024 * 1024;

/** A folder of Parquet files, `part-00000.parquet` and on; an empty result is one without rows. */
export async function parquetFolder(
  out: string,
  begun: Position | null,
  encode: (lines: string) => Promise<Buffer>,
): Promise<Output> {
  const folder = partOf(out);
  let parts = begun?.written ?? 0;
  let last = begun;
  let lines: string[] = [];
  let characters = 0;
  const path = (index: number): string =>
    join(folder, `part-${String(index).padStart(5, "0")}.parquet`);
  await guarded(out, async () => {
    await mkdir(folder, { recursive: true });
    const kept = new Set(Array.from({ length: parts }, (_, i) => path(i)));
    for (const name of await readdir(folder)) {
      if (!kept.has(join(folder, name))) await rm(join(folder, name));
    }
  });
  const flush = async (): Promise<void> => {
    const bytes = await encode(lines.join("\n"));
    await guarded(out, () => writeFile(path(parts), bytes, { flush: true }));
    parts += 1;
    lines = [];
    characters = 0;
  };
  return {
    async append(line) {
      if (lines.length > 0 && characters + line.length > partCharacters) await flush();
      lines.push(line);
      characters += line.length;
    },
    async reached(position) {
      if (characters < wantedCharacters && last !== null) return;
      if (lines.length > 0) await flush();
      last = { ...position, written: parts };
      const reached = last;
      await guarded(out, () => note(out, reached));
    },
    async finish() {
      if (lines.length > 0 || parts === 0) await flush();
      await guarded(out, () => finished(out));
    },
    async close() {},
  };
}

async function guarded<T>(out: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LightningError || !("code" in (error as object))) throw error;
    throw fileFault(out, error);
  }
}
