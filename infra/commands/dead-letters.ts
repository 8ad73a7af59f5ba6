import { parseArgs } from "node:util";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { configWithAddresses, defaultDataDir } from "../addresses.ts";
import type { Values } from "../config.ts";
import { type Context, createContext } from "../context.ts";
import { openReplayer, type Replayer } from "../kafka/replay.ts";
import { readers } from "../roles.ts";
import {
  type Command,
  connectKafka,
  dataOption,
  dataUsage,
  print,
  remark,
  wholeNumber,
  wrongUse,
} from "./command.ts";
import { type Letter, lettersOf, recordIn } from "./letters.ts";
import { asText, describeLetter, letterAsJson } from "./show-letter.ts";
import { formatTable, printable } from "./table.ts";

const readerNames = readers.map(({ name }) => name);

/** `lightning dead-letters`. */
export const deadLettersCommand: Command = {
  doc: "records that could not be read: list, show, replay",
  usage: `lightning dead-letters list [--json] [--data DIR]
lightning dead-letters show READER [--offset N | --last N] [--json] [--data DIR]
lightning dead-letters replay READER (--offset N | --all [--from N]) [--data DIR]

  READER           ${readerNames.join(", ")}
  --offset N       the letter at this offset of READER.dead-letters
  --last N         the newest N (10)
  --all            every letter, oldest first
  --from N         of those, the ones at this offset and behind it
  --json           list: one JSON array; show: one JSON object a line, bytes as base64
${dataUsage}

replay appends the original bytes, key and headers to the topic and partition they came from, and
prints what it has sent. Every reader of that topic sees the record again; those that had taken it
know it by its ids. The letter stays.`,
  run,
};

type Options = {
  readonly offset: number | null;
  readonly last: number;
  readonly from: number;
  readonly all: boolean;
  readonly json: boolean;
};

async function run(args: readonly string[]): Promise<void> {
  const { values: given, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...dataOption,
      offset: { type: "string" },
      last: { type: "string" },
      from: { type: "string" },
      all: { type: "boolean" },
      json: { type: "boolean" },
    },
  });
  const options = readOptions(given);
  const { action, reader } = readAction(positionals, options);
  const needs = ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"] as const;
  const values = configWithAddresses(given.data ?? defaultDataDir, needs);
  // Says at once, and clearly, when there is no broker.
  await connectKafka(values);
  const context = createContext(quiet(values), "cli");
  try {
    if (action === "list") await list(context, options.json);
    else if (action === "show") await show(context, reader, options);
    else await replay(context, reader, options);
  } finally {
    await context.close();
  }
}

/** Looking at broken records makes warnings that say nothing new; an explicit level stays. */
function quiet(values: Values): Values {
  return values.LIGHTNING_LOG_LEVEL === "warn"
    ? { ...values, LIGHTNING_LOG_LEVEL: "error" }
    : values;
}

type Given = { offset?: string; last?: string; from?: string; all?: boolean; json?: boolean };

/** @throws LightningError `request-invalid` naming the option. */
export function readOptions({ offset, last, from, all, json }: Given): Options {
  const number = (option: string, text: string): number =>
    wholeNumber("dead-letters", option, text);
  if (offset !== undefined && (all === true || last !== undefined)) {
    throw wrongUse("dead-letters", "--offset names one letter: leave --all and --last out");
  }
  return {
    offset: offset === undefined ? null : number("--offset", offset),
    last: last === undefined ? 10 : number("--last", last),
    from: from === undefined ? 0 : number("--from", from),
    all: all === true,
    json: json === true,
  };
}

/** @throws LightningError `request-invalid` saying what is missing or unknown. */
export function readAction(
  words: readonly string[],
  { offset, all }: Pick<Options, "offset" | "all">,
): { action: "list" | "show" | "replay"; reader: string } {
  const actions = ["list", "show", "replay"] as const;
  const [word = "list", reader, ...more] = words;
  const action = actions.find((known) => known === word);
  if (action === undefined) {
    throw wrongUse(
      "dead-letters",
      `read ${JSON.stringify(word)}, allowed are ${actions.join(", ")}`,
    );
  }
  const surplus = action === "list" ? reader : more[0];
  if (surplus !== undefined) {
    throw wrongUse("dead-letters", `read ${JSON.stringify(surplus)}, which is one word too many`);
  }
  if (action !== "list" && (reader === undefined || !readerNames.includes(reader))) {
    const read =
      reader === undefined ? "no reader is named" : `reader is ${JSON.stringify(reader)}`;
    throw wrongUse("dead-letters", `${read}, allowed are ${readerNames.join(", ")}`);
  }
  if (action === "replay" && offset === null && !all) {
    throw wrongUse("dead-letters", "say which: --offset N for one letter, --all for every one");
  }
  return { action, reader: reader ?? "" };
}

export type LetterSummary = {
  readonly reader: string;
  readonly letters: number;
  readonly first_offset: number | null;
  readonly last_offset: number | null;
  /** ISO time of the newest. */
  readonly newest: string | null;
  readonly codes: Readonly<Record<string, number>>;
};

/** Counts letters by code. */
export async function summarise(
  reader: string,
  letters: AsyncIterable<Letter>,
): Promise<LetterSummary> {
  const codes: Record<string, number> = {};
  let count = 0;
  let first: number | null = null;
  let last: Letter | null = null;
  for await (const found of letters) {
    const code = found.letter?.code ?? "not a dead letter";
    codes[code] = (codes[code] ?? 0) + 1;
    count += 1;
    first ??= found.offset;
    last = found;
  }
  return {
    reader,
    letters: count,
    first_offset: first,
    last_offset: last?.offset ?? null,
    newest: last === null ? null : new Date(last.timestamp).toISOString(),
    codes,
  };
}

async function list({ client, codec }: Context, json: boolean): Promise<void> {
  const summaries: LetterSummary[] = [];
  for (const name of readerNames) {
    summaries.push(await summarise(name, lettersOf(client, codec, name)));
  }
  if (json) return print(JSON.stringify(summaries, undefined, 2));
  const rows = summaries.map(({ reader, letters, codes, newest, first_offset, last_offset }) => [
    reader,
    letters,
    letters === 0 ? "" : `${first_offset}..${last_offset}`,
    newest,
    Object.entries(codes)
      .map(([code, count]) => `${code} ${count}`)
      .join(", "),
  ]);
  print(formatTable(["reader", "letters", "offsets", "newest", "by code"], rows));
  const some = summaries.find(({ letters }) => letters > 0);
  if (some !== undefined) remark(`\nto look at them: lightning dead-letters show ${some.reader}`);
}

async function show({ client, codec }: Context, reader: string, options: Options): Promise<void> {
  let kept: Letter[] = [];
  let all = 0;
  for await (const found of lettersOf(client, codec, reader, options.offset ?? options.from)) {
    if (options.offset !== null && found.offset !== options.offset) break;
    all += 1;
    kept = [...kept, found].slice(-Math.max(1, options.last));
    if (options.offset !== null) break;
  }
  if (options.offset !== null && kept.length === 0) throw noLetter(reader, options.offset);
  for (const found of kept) {
    const record = await recordIn(codec, found.letter);
    if (options.json) print(JSON.stringify(letterAsJson(reader, found, record)));
    else print(`${describeLetter(found, record)}\n`);
  }
  if (all > kept.length) remark(`${all - kept.length} older ones: --last ${all} shows them all`);
  if (all === 0) remark(`${reader} has no dead letters`);
}

async function replay({ client, codec }: Context, reader: string, options: Options): Promise<void> {
  const replayer = await openReplayer(client);
  let sent = 0;
  try {
    const from = options.offset ?? options.from;
    for await (const found of lettersOf(client, codec, reader, from)) {
      if (options.offset !== null && found.offset !== options.offset) break;
      if (await replayOne(replayer, reader, found, sent)) sent += 1;
      if (options.offset !== null) break;
    }
  } finally {
    await replayer.close();
  }
  if (options.offset !== null && sent === 0) throw noLetter(reader, options.offset);
  print(sent === 1 ? "replayed 1 record" : `replayed ${sent} records`);
}

/** Whether there was something to send. */
async function replayOne(
  replayer: Replayer,
  reader: string,
  { offset, letter }: Letter,
  sent: number,
): Promise<boolean> {
  if (letter === null) {
    remark(`${offset}: no dead letter, left alone`);
    return false;
  }
  const { topic, partition } = letter;
  const key = letter.key === null ? null : Buffer.from(letter.key);
  const value = letter.value === null ? null : Buffer.from(letter.value);
  const headers = Object.fromEntries(
    Object.entries(letter.headers).map(([name, bytes]) => [name, Buffer.from(bytes)]),
  );
  try {
    const written = await replayer.send({ topic, partition, key, value, headers });
    const what = `key ${key === null ? "none" : asText(key)}, ${value?.length ?? 0} bytes`;
    print(
      `${offset}: ${what} → ${printable(topic)}/${partition} offset ${written} (was ${letter.offset})`,
    );
    return true;
  } catch (error) {
    throw new LightningError(
      error instanceof LightningError ? error.code : "kafka-unavailable",
      `letter ${offset} may or may not have been sent, ${sent} before it were: ${messageOf(error)}; ` +
        `go on with: lightning dead-letters replay ${reader} --all --from ${offset}`,
      { cause: error, offset },
    );
  }
}

function noLetter(reader: string, offset: number): LightningError {
  return new LightningError(
    "not-found",
    `${reader} has no dead letter at offset ${offset}: lightning dead-letters list says which there are`,
    { reader, offset },
  );
}
