import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { type Command, print, remark, wrongUse } from "./command.ts";
import { byAttempt, readSpans, type SpansRead } from "./read-spans.ts";
import { printable } from "./table.ts";
import { type Adapted, adapterNames, adapters, type Config } from "./triplets/adapters.ts";
import { adaptEvents } from "./triplets/events.ts";

/** `lightning triplets`. */
export const tripletsCommand: Command = {
  doc: "make triplets of the spans in a file, as the pipeline would, and say why these",
  usage: `lightning triplets FILE [--adapter NAME] [--config FILE] [--explain] [--format FORMAT]
                   [--rollout ID] [--attempt ID]
lightning triplets - < spans.jsonl

  FILE               spans as the store API has them (a list, {"items": []}, or one per line), OTLP
                     JSON (resourceSpans), or events of a 1.0 gateway; - is standard input
  --adapter NAME     tracer (unless told), llm-proxy or messages, as in the reference:
${adapterNames.map((name) => `                       ${name.padEnd(9)}  ${adapters[name].doc}`).join("\n")}
                     events of a 1.0 gateway have an adapter of their own
  --config FILE      JSON object, or the object itself; for tracer either the reference's keys
                     (agent_match, llm_call_match, exclude_llm_call_in_reward, repair_hierarchy,
                     reward_match, final_reward, _skip_empty_token_spans) or a selection (agents,
                     calls, judges, repair, reward_match, reward_weights); for events dedup: prompt
                     (of calls with one prompt the last, unless told) or call (every sample stays)
  --explain          say on stderr what the tree looks like, why each call has its triplet or none,
                     and where each reward went
  --format FORMAT    json (unless told), jsonl (a triplet per line), or text (what --explain says,
                     alone)
  --rollout ID       of this rollout alone
  --attempt ID       of this attempt alone

Spans of one attempt give a list of triplets; those of several a list of {rollout_id, attempt_id,
triplets}, or lines with these fields beside the triplet's.

  lightning triplets spans.json --config '{"agent_match": "writer"}' --explain
  curl "$LIGHTNING_URL/v1/agl/spans?rollout_id=ro-1" | lightning triplets - --format text`,
  run,
};

const formats = ["json", "jsonl", "text"] as const;
type Format = (typeof formats)[number];

/** Names a user may give; events have an adapter of their own. */
const allAdapters = [...adapterNames, "events"] as const;
type Named = (typeof allAdapters)[number];

/** What goes to stdout and what to stderr, line by line. */
export type Output = { readonly lines: Iterable<string>; readonly remarks: Iterable<string> };

async function run(args: readonly string[]): Promise<void> {
  const { lines, remarks } = await answerTo(args);
  for (const line of lines) print(line);
  for (const line of remarks) remark(line);
}

/** What the command prints for these words. Throws as the command does. */
export async function answerTo(args: readonly string[]): Promise<Output> {
  const { values: options, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      adapter: { type: "string" },
      config: { type: "string" },
      explain: { type: "boolean", default: false },
      format: { type: "string", default: "json" },
      rollout: { type: "string" },
      attempt: { type: "string" },
    },
  });
  const [file, more] = positionals;
  if (file === undefined || more !== undefined) {
    throw wrongUse("triplets", `read ${positionals.length} files, allowed is one, or - for stdin`);
  }
  const format = oneOf("--format", options.format, formats);
  const { adapter = null, rollout, attempt } = options;
  const named = adapter === null ? null : oneOf("--adapter", adapter, allAdapters);
  const config = configOf(options.config);
  const read = await readSpans(
    file,
    (rolloutId, attemptId) =>
      (rollout ?? rolloutId) === rolloutId && (attempt ?? attemptId) === attemptId,
  );
  return outputOf(adapt(read, named, config), format, options.explain);
}

type AdaptedAttempt = {
  readonly rollout_id: string;
  readonly attempt_id: string;
  readonly adapted: Adapted;
};

function adapt(
  { spans, events }: SpansRead,
  named: Named | null,
  config: Config,
): readonly AdaptedAttempt[] {
  const name = named ?? (spans.length === 0 && events.length > 0 ? "events" : "tracer");
  const others = name === "events" ? spans.length : events.length;
  if (others > 0) {
    const read = `${spans.length} spans and ${events.length} events of a 1.0 gateway`;
    throw wrongUse("triplets", `read ${read}, --adapter ${name} takes only one of them`);
  }
  if (name === "events") {
    return byAttempt(events).map(({ items, ...ids }) => ({
      ...ids,
      adapted: adaptEvents(items, config),
    }));
  }
  return byAttempt(spans).map(({ items, ...ids }) => ({
    ...ids,
    adapted: adapters[name].adapt(items, config),
  }));
}

function outputOf(attempts: readonly AdaptedAttempt[], format: Format, explain: boolean): Output {
  if (format === "text") return { lines: explained(attempts), remarks: [] };
  const lines = format === "json" ? json(attempts) : jsonLines(attempts);
  return { lines, remarks: explain ? explained(attempts) : whyNothing(attempts) };
}

function* explained(attempts: readonly AdaptedAttempt[]): Generator<string> {
  if (attempts.length === 0) yield* whyNothing(attempts);
  for (const { rollout_id, attempt_id, adapted } of attempts) {
    if (attempts.length > 1) yield printable(`rollout ${rollout_id}, attempt ${attempt_id}`);
    yield* adapted.explain();
  }
}

function whyNothing(attempts: readonly AdaptedAttempt[]): string[] {
  if (attempts.length === 0) {
    return ["lightning: there are no spans, or none of the rollout and attempt asked for"];
  }
  const some = attempts.some(({ adapted }) => adapted.items.length > 0);
  return some ? [] : ["lightning: no triplets; --explain says why"];
}

/** One list, an item per line: token ids one below the other could not be read. */
function* json(attempts: readonly AdaptedAttempt[]): Generator<string> {
  const [only, second] = attempts;
  const items =
    second === undefined
      ? (only?.adapted.items ?? [])
      : attempts.map(({ adapted, ...ids }) => ({ ...ids, triplets: adapted.items }));
  if (items.length === 0) yield "[]";
  for (const [i, item] of items.entries()) {
    const last = i === items.length - 1;
    yield `${i === 0 ? "[" : " "}${JSON.stringify(item)}${last ? "]" : ","}`;
  }
}

function* jsonLines(attempts: readonly AdaptedAttempt[]): Generator<string> {
  for (const { adapted, ...ids } of attempts) {
    for (const item of adapted.items) {
      const own = item as Readonly<Record<string, unknown>>;
      yield JSON.stringify(attempts.length > 1 ? { ...ids, ...own } : own);
    }
  }
}

function configOf(given: string | undefined): Config {
  if (given === undefined) return {};
  const text = given.trimStart().startsWith("{") ? given : textOfFile(given);
  try {
    const config: unknown = JSON.parse(text);
    if (typeof config === "object" && config !== null && !Array.isArray(config)) {
      return config as Config;
    }
  } catch (error) {
    throw wrongUse("triplets", `--config is no JSON: ${messageOf(error)}`);
  }
  throw wrongUse("triplets", `--config holds ${text.slice(0, 80)}, allowed is a JSON object`);
}

function textOfFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new LightningError("not-found", `--config ${file}: ${messageOf(cause)}`, { cause });
  }
}

function oneOf<T extends string>(option: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === text);
  if (found !== undefined) return found;
  const message = `${option} is ${JSON.stringify(text)}, allowed are ${allowed.join(", ")}`;
  throw wrongUse("triplets", message);
}
