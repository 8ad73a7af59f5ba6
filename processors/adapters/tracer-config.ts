import { LightningError, messageOf } from "../../schemas/errors.ts";
import { objectOf } from "../traces/attributes.ts";
import { defaultSelection, parseSelection, type Selection } from "../traces/selection.ts";

/** How the tracer adapter reads a trace. */
export type TracerConfig = {
  readonly selection: Selection;
  /** True: calls without token ids of prompt and response give no triplet. */
  readonly skipEmpty: boolean;
  /** Reward of the last triplet, whatever was matched to it; null: as matched. */
  readonly finalReward: number | null;
};

/** The reference's default of `llm_call_match`. */
const openAiCalls = "openai\\.chat\\.completion";

type Field = (value: unknown) => Readonly<Record<string, unknown>>;

/** The reference's keys, and what each says in the words of a selection. */
const referenceFields: Readonly<Record<string, Field>> = {
  agent_match: (value) => (value === null ? {} : { agents: [{ match: value, policy: "" }] }),
  llm_call_match: (value) => ({ calls: value }),
  exclude_llm_call_in_reward: (value) => ({ judges: typeof value === "boolean" ? !value : value }),
  repair_hierarchy: (value) => ({ repair: value }),
};

const ownFields = ["_skip_empty_token_spans", "final_reward"];
const selectionFields = Object.keys(defaultSelection);
const allowed = [...Object.keys(referenceFields), ...selectionFields, ...ownFields];

/**
 * The config of the tracer adapter: the keys of the reference's `TracerTraceToTriplet`, those of a
 * selection (selection.ts), or some of both; `reward_match` is read with `_` and with `-`.
 *
 * @throws LightningError request-invalid, naming the key, what was read and what is allowed.
 */
export function parseTracerConfig(config: unknown): TracerConfig {
  const fields = objectOf(config);
  if (fields === null) throw invalid("config", config, "an object");
  const said: Record<string, unknown> = { calls: openAiCalls };
  for (const [name, value] of Object.entries(fields)) {
    if (!allowed.includes(name)) {
      throw invalid("config", name, `one of the keys ${allowed.join(", ")}`);
    }
    if (selectionFields.includes(name)) said[name] = value;
    Object.assign(said, referenceFields[name]?.(value));
  }
  if (typeof said.reward_match === "string") {
    said.reward_match = said.reward_match.replaceAll("_", "-");
  }
  return {
    selection: selectionOf(said),
    skipEmpty: skipEmptyOf(fields._skip_empty_token_spans),
    finalReward: finalRewardOf(fields.final_reward),
  };
}

function selectionOf(said: Readonly<Record<string, unknown>>): Selection {
  try {
    return parseSelection(JSON.stringify(said));
  } catch (cause) {
    throw new LightningError("request-invalid", `config: ${messageOf(cause)}`, { cause });
  }
}

function skipEmptyOf(value: unknown): boolean {
  if (value === undefined) return false;
  if (typeof value !== "boolean") {
    throw invalid("config._skip_empty_token_spans", value, "true or false");
  }
  return value;
}

function finalRewardOf(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw invalid("config.final_reward", value, "a finite number or null");
  }
  return value;
}

function invalid(field: string, read: unknown, allowed: string): LightningError {
  const message = `${field}: read ${JSON.stringify(read) ?? "nothing"}, must be ${allowed}`;
  return new LightningError("request-invalid", message, { field });
}
