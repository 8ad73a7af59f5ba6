import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { describeMismatches } from "../../processors/rows/mismatches.ts";
import { nested, padder } from "../../processors/rows/pad.ts";
import { turnsOfTriplets } from "../../processors/rows/rows-of-triplets.ts";
import { type Rows, rowsOfTurns } from "../../processors/rows/rows-of-turns.ts";
import { type RolloutTurns, type TrainingRow, tokens } from "../../processors/rows/turn.ts";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { type Command, print, remark, wholeNumber, wrongUse } from "./command.ts";
import { byAttempt, readSpans, type SpansRead } from "./read-spans.ts";
import { adapters, type Config } from "./triplets/adapters.ts";
import { adaptEvents } from "./triplets/events.ts";

/** `lightning rows`. */
export const rowsCommand: Command = {
  doc: "make training rows of the spans in a file: token ids, masks, log-probs, rewards",
  usage: `lightning rows FILE [--level LEVEL] [--pad P,R] [--adapter NAME] [--config FILE] [--format FORMAT]
               [--fill REWARD] [--one-context] [--special-ids ID,…] [--pad-id ID] [--bfloat16]
               [--rollout ID] [--attempt ID]
lightning rows - < spans.jsonl

  FILE               spans or events as lightning triplets takes them; - is standard input
  --level LEVEL      transition (unless told): a row per call; trajectory: calls that go on with one
                     another share a row, what came between them has mask 0
  --pad P,R          tensors instead of rows: prompts cut to P tokens, marked in is_drop_mask and
                     padded on the left, responses cut to R and padded on the right
  --adapter NAME     tracer (unless told) or llm-proxy; 1.0 events have one of their own
  --config FILE      the adapter's, as for lightning triplets
  --format FORMAT    json (unless told): a list of rows, or one object of tensors; jsonl: a row per line
  --fill REWARD      reward of a rollout that has none (0); --fill=-1 for less than 0
  --one-context      a call goes on with the call before it or with none, as in the reference; without
                     it every conversation stays open, so that interleaved sub-agents merge
  --special-ids IDS  the tokeniser's special tokens, to tell why calls did not go on with one another
  --pad-id ID        token to pad with (0)
  --bfloat16         round the scores of tensors as the reference does; they are float64 otherwise
  --rollout ID       of this rollout alone
  --attempt ID       of this attempt alone; unless told, of each rollout the one that began last

A row: rollout_id, turn_indexes (calls, from 0, as lightning triplets lists them), prompt_ids,
response_ids, response_mask and logprobs (one per token of the response; logprobs may be null), reward
(the rollout's last one). How many rows of how many calls is said on stderr.

  lightning rows spans.jsonl --level trajectory --config '{"agent_match": "writer"}'`,
  run,
};

const levels = ["transition", "trajectory"] as const;
const formats = ["json", "jsonl"] as const;
const spanAdapters = ["tracer", "llm-proxy"] as const;

const words = {
  level: { type: "string", default: "transition" },
  pad: { type: "string" },
  adapter: { type: "string", default: "tracer" },
  config: { type: "string" },
  format: { type: "string", default: "json" },
  fill: { type: "string", default: "0" },
  "one-context": { type: "boolean", default: false },
  "special-ids": { type: "string" },
  "pad-id": { type: "string", default: "0" },
  bfloat16: { type: "boolean", default: false },
  rollout: { type: "string" },
  attempt: { type: "string" },
} as const;

async function run(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: words,
  });
  const [file, more] = positionals;
  if (file === undefined || more !== undefined) {
    throw wrongUse("rows", `read ${positionals.length} files, allowed is one, or - for stdin`);
  }
  const level = oneOf("--level", values.level, levels);
  const format = oneOf("--format", values.format, formats);
  const adapter = oneOf("--adapter", values.adapter, spanAdapters);
  const widths = values.pad === undefined ? null : widthsOf(values.pad);
  const options = {
    level,
    several: !values["one-context"],
    fill: numberOf("--fill", values.fill),
    vocabulary: { special_ids: specialIdsOf(values["special-ids"]) },
    limits: widths === null ? null : { ...widths, overflow: "drop" as const },
  };
  const config = configOf(values.config);
  const { rollout, attempt } = values;
  const read = await readSpans(
    file,
    (rolloutId, attemptId) =>
      (rollout ?? rolloutId) === rolloutId && (attempt ?? attemptId) === attemptId,
  );
  const rollouts = rolloutsOf(read, adapter, config);
  const rows = rowsOfTurns(rollouts, options);
  const pad_id = wholeNumber("rows", "--pad-id", values["pad-id"]);
  const padding = widths === null ? null : { ...widths, pad_id, bfloat16: values.bfloat16 };
  if (padding === null) show(rows.rows.map(plainRow), format);
  else {
    const pad = padder(padding);
    const batches = format === "json" ? [rows.rows] : rows.rows.map((row) => [row]);
    for (const batch of batches) print(JSON.stringify(tensorsOf(batch, pad)));
  }
  remark(summary(rows, level));
}

/** The turns of each rollout; of its attempts the one whose first span began last. */
function rolloutsOf(
  { spans, events }: SpansRead,
  adapter: (typeof spanAdapters)[number],
  config: Config,
): RolloutTurns[] {
  if (spans.length > 0 && events.length > 0) {
    const read = `${spans.length} spans and ${events.length} events of a 1.0 gateway`;
    throw wrongUse("rows", `read ${read}, allowed is a file of either`);
  }
  const attempts =
    events.length > 0
      ? byAttempt(events).map(({ rollout_id, items }) => ({
          rollout_id,
          began: earliest(items.map(({ timestamp }) => Number(timestamp ?? 0))),
          triplets: () => adaptEvents(items, config).items,
        }))
      : byAttempt(spans).map(({ rollout_id, items }) => ({
          rollout_id,
          began: earliest(items.map(({ start_time }) => start_time)),
          triplets: () => adapters[adapter].adapt(items, config).items,
        }));
  const last = new Map<string, (typeof attempts)[number]>();
  for (const attempt of attempts) {
    const known = last.get(attempt.rollout_id);
    if (known === undefined || attempt.began >= known.began) last.set(attempt.rollout_id, attempt);
  }
  return [...last.values()].map(({ rollout_id, triplets }) =>
    turnsOfTriplets({ rollout_id, triplets: triplets() }),
  );
}

const earliest = (times: readonly number[]): number => times.reduce((a, b) => Math.min(a, b));

function plainRow(row: TrainingRow): Readonly<Record<string, unknown>> {
  return {
    rollout_id: row.rollout_id,
    turn_indexes: row.turn_indexes,
    prompt_ids: Array.from(row.prompt_ids),
    response_ids: Array.from(row.response_ids),
    response_mask: Array.from(row.response_mask),
    logprobs: row.logprobs === null ? null : Array.from(row.logprobs),
    reward: row.reward,
  };
}

function tensorsOf(rows: readonly TrainingRow[], pad: ReturnType<typeof padder>) {
  const { is_drop_mask, rows: count, rollout_log_probs, ...matrices } = pad(rows);
  const lists = Object.entries(matrices).map(([name, matrix]) => [name, nested(matrix, count)]);
  return {
    ...Object.fromEntries(lists),
    rollout_log_probs: rollout_log_probs === null ? null : nested(rollout_log_probs, count),
    is_drop_mask,
    rollout_id_list: rows.map(({ rollout_id }) => rollout_id),
    turn_index_list: rows.map(({ turn_indexes }) => turn_indexes),
  };
}

function show(items: readonly unknown[], format: (typeof formats)[number]): void {
  if (format === "json" && items.length === 0) print("[]");
  for (const [i, item] of items.entries()) {
    const text = JSON.stringify(item);
    if (format === "jsonl") print(text);
    else print(`${i === 0 ? "[" : " "}${text}${i === items.length - 1 ? "]" : ","}`);
  }
}

function summary({ counts, mismatches }: Rows, level: (typeof levels)[number]): string {
  const { rows, turns, rollouts, with_turns, with_reward, empty, too_long, truncated } = counts;
  const remarks = [
    `${rows} rows of ${turns} calls in ${rollouts} rollouts (${with_turns} with calls, ${with_reward} with a reward)`,
    ...(empty > 0 ? [`${empty} left out because none of their tokens trains`] : []),
    ...(too_long > 0 ? [`${too_long} too long in the prompt`] : []),
    ...(truncated > 0 ? [`${truncated} with a response that was cut`] : []),
    ...(level === "trajectory" ? [describeMismatches(mismatches)] : []),
  ];
  return `lightning: ${remarks.join("; ")}`;
}

function widthsOf(text: string): { readonly prompt: number; readonly response: number } {
  const [, prompt, response] = /^(\d{1,7}),(\d{1,7})$/.exec(text) ?? [];
  if (Number(prompt) > 0 && Number(response) > 0) {
    return { prompt: Number(prompt), response: Number(response) };
  }
  const message = `--pad is ${JSON.stringify(text)}, allowed are two numbers of tokens from 1, as in 2048,8192`;
  throw wrongUse("rows", message);
}

function numberOf(option: string, text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw wrongUse("rows", `${option} is ${JSON.stringify(text)}, allowed is a number`);
}

function specialIdsOf(text: string | undefined): ReadonlySet<number> | undefined {
  if (text === undefined) return undefined;
  const ids = text.split(",").map((id) => (/^-?\d+$/.test(id.trim()) ? Number(id) : id));
  try {
    return new Set(tokens("--special-ids", ids));
  } catch (error) {
    throw wrongUse("rows", messageOf(error));
  }
}

function oneOf<T extends string>(option: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === text);
  if (found !== undefined) return found;
  const message = `${option} is ${JSON.stringify(text)}, allowed are ${allowed.join(", ")}`;
  throw wrongUse("rows", message);
}

function configOf(given: string | undefined): Config {
  if (given === undefined) return {};
  let text = given;
  try {
    if (!given.trimStart().startsWith("{")) text = readFileSync(given, "utf8");
  } catch (cause) {
    throw new LightningError("not-found", `--config ${given}: ${messageOf(cause)}`, { cause });
  }
  try {
    const config: unknown = JSON.parse(text);
    if (typeof config === "object" && config !== null && !Array.isArray(config)) {
      return config as Config;
    }
  } catch (error) {
    throw wrongUse("rows", `--config is no JSON: ${messageOf(error)}`);
  }
  throw wrongUse("rows", `--config holds ${text.slice(0, 80)}, allowed is a JSON object`);
}
