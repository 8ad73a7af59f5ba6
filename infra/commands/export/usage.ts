import { dataUsage } from "../command.ts";
import type { Column, Shape } from "./kind.ts";
import { kinds } from "./options.ts";

const shape: Shape = {
  level: "transition",
  style: "verl",
  pairs: 1,
  margin: 1,
  provenance: true,
};

function fieldsOf(columns: readonly Column[]): string {
  const width = columns.reduce((most, { name }) => Math.max(most, name.length), 0);
  return columns
    .map(({ name, sql, json, doc }) => {
      const type = json === true ? "JSON" : sql.length > 40 ? "messages" : sql;
      return `  ${name.padEnd(width)}  ${doc} (${type})`;
    })
    .join("\n");
}

function fields(): string {
  return Object.entries(kinds)
    .map(([name, kind]) => {
      if (name !== "rows") return `${name}: ${kind.doc}\n${fieldsOf(kind.columns(shape))}`;
      const trl = kind.columns({ ...shape, style: "trl" }).slice(0, 6);
      return `${name}: ${kind.doc}\n${fieldsOf(kind.columns(shape))}\nrows --style trl begins with\n${fieldsOf(trl)}`;
    })
    .join("\n\n");
}

/** How `lightning export` is called, and every field of what it writes. */
export const exportUsage = `lightning export KIND [--project P] [--format jsonl|parquet] [--out FILE] [filters] [--resume]

  KIND               ${Object.keys(kinds).join(", ")}
  --project P        (LIGHTNING_PROJECT)
  --format FORMAT    jsonl, or parquet: a folder of part files; --out x.parquet says it too
  --out FILE         where it goes, standard output unless given; written as FILE.part, with its
                     place in FILE.part.json, and renamed at the end
  --resume           go on with what was cut off: the same call gives the same bytes
  --limit N          at most N records

Filters
  --min-reward X, --max-reward X   final reward of the rollout, both included
  --policy NAME                    resource the call trains (selection)
  --policy-version A..B            version that generated it: 3, 3..5, 3.. or ..5
  --agent PATTERN                  RE2 pattern found in the agent's name
  --since T, --until T             when the rollout ended: 2026-09-21T10:00:00Z, or an age as 24h
  --mode MODE                      train, val or test

Shapes
  --style verl|trl                 rows: whose names the fields have (verl)
  --level transition|trajectory    rows, messages: one per call (transition), or one per conversation
  --pairs N                        preferences: most pairs of a group (1): best with worst, and so on
  --margin X                       preferences: smallest difference of rewards in a pair
  --provenance                     messages, preferences: also the fields marked so
${dataUsage}

Only closed groups are exported, each in its newest revision, by group, rollout and step; what comes
in after the start is left for the next time. What is not a finite number is null. How many calls
were left out, and why, stands at the end on standard error.

  lightning export messages --min-reward 0.9 --level trajectory --out sft.jsonl
  lightning export preferences --margin 0.2 --out dpo.jsonl
  lightning export rows --style trl --policy-version 3.. --out rows.parquet

${fields()}`;
