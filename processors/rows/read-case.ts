import { LightningError } from "../../schemas/errors.ts";
import { isObject } from "./difference.ts";
import type { PadOptions } from "./pad.ts";
import { defaultRowOptions, type RowOptions } from "./rows-of-turns.ts";
import { type RolloutTurns, type Turn, turnOf } from "./turn.ts";

type Json = Readonly<Record<string, unknown>>;

/** A recorded case of either version: what to convert, how, and the answer. */
export type RowCase = {
  readonly name: string;
  readonly rollouts: readonly RolloutTurns[];
  readonly options: RowOptions;
  readonly pad: PadOptions;
  /** False: the answer is the metrics of a validation. */
  readonly train: boolean;
  /** The reference counted mismatches by kind. */
  readonly debug: boolean;
  /** The error the reference answered with, as text; null when it answered with a batch. */
  readonly failed: string | null;
  readonly batch: Json;
  readonly lists: Json;
  readonly metrics: Json;
};

/** @throws LightningError `record-invalid` naming the field. */
export function readCase(version: "v03" | "v1", value: unknown): RowCase {
  const item = objectOf("case", value);
  return version === "v03" ? readCase03(item) : readCase10(item);
}

function readCase03(item: Json): RowCase {
  const aggregator = objectOf("trace_aggregator", item.trace_aggregator ?? {});
  const expected = isObject(item.expected) ? item.expected : {};
  const limits = limitsOf(item, aggregator.level === "trajectory" ? "response" : "drop");
  return {
    name: String(item.name),
    rollouts: listOf("rollouts", item.rollouts).map(rollout03),
    options: { ...optionsOf(aggregator.level, item), limits, keepEmpty: true },
    pad: padOf(item, limits),
    train: item.train !== false,
    debug: aggregator.debug === true,
    failed: failureOf(item, expected),
    batch: objectOf("expected.batch", expected.batch ?? {}),
    lists: objectOf("expected.non_tensor", expected.non_tensor ?? {}),
    metrics: objectOf("expected.metrics", expected.metrics ?? item.metrics ?? {}),
  };
}

function rollout03(value: unknown, i: number): RolloutTurns {
  const where = `rollouts[${i}]`;
  const { data_id, reward, turns } = objectOf(where, value);
  return {
    rollout_id: `ro-${i}`,
    data_id: String(data_id),
    reward: rewardOf(reward),
    turns: listOf(`${where}.turns`, turns).map((turn, k): Turn => {
      const at = `${where}.turns[${k}]`;
      const [prompt, response] = listOf(at, turn);
      return turnOf(at, listOf(`${at}.prompt`, prompt), listOf(`${at}.response`, response), null);
    }),
  };
}

const listNames = ["data_id_list", "rollout_id_list", "turn_index_list"];

function readCase10(item: Json): RowCase {
  const cfg = objectOf("cfg", item.cfg);
  const expected = isObject(item.expect) ? item.expect : {};
  const limits = limitsOf(cfg, "drop");
  const part = (wanted: boolean): Json =>
    Object.fromEntries(
      Object.entries(expected).filter(([key]) => listNames.includes(key) === wanted),
    );
  return {
    name: String(item.name),
    rollouts: listOf("rollouts", item.rollouts).map(rollout10),
    options: { ...optionsOf(cfg.level, cfg), limits },
    pad: padOf(cfg, limits),
    train: item.train !== false,
    debug: false,
    failed: failureOf(item, expected),
    batch: part(false),
    lists: part(true),
    metrics: objectOf("metrics", item.metrics ?? {}),
  };
}

function rollout10(value: unknown, i: number): RolloutTurns {
  const where = `rollouts[${i}]`;
  const rollout = objectOf(where, value);
  return {
    rollout_id: String(rollout.rollout_id),
    data_id: String(rollout.data_id),
    step: Number(rollout.step ?? 0),
    sample_idx: Number(rollout.sample_idx_in_step ?? 0),
    reward: rewardOf(rollout.final_reward),
    turns: listOf(`${where}.turns`, rollout.turns).map((turn, k) => {
      const at = `${where}.turns[${k}]`;
      const { prompt, response, log_probs } = objectOf(at, turn);
      const logprobs = Array.isArray(log_probs) ? log_probs : null;
      return turnOf(
        at,
        listOf(`${at}.prompt`, prompt),
        listOf(`${at}.response`, response),
        logprobs,
      );
    }),
  };
}

/** The reference's options: one open context, rewards filled in as it is told. */
function optionsOf(level: unknown, { reward_fillna_value }: Json): RowOptions {
  return {
    ...defaultRowOptions,
    level: level === "trajectory" ? "trajectory" : "transition",
    several: false,
    fill: typeof reward_fillna_value === "number" ? reward_fillna_value : 0,
  };
}

function limitsOf(settings: Json, overflow: "drop" | "response") {
  const prompt = lengthOf("max_prompt_length", settings.max_prompt_length);
  const response = lengthOf("max_response_length", settings.max_response_length);
  return { prompt, response, overflow };
}

function padOf({ pad_token_id }: Json, limits: { prompt: number; response: number }): PadOptions {
  const { prompt, response } = limits;
  return { prompt, response, pad_id: Number(pad_token_id ?? 0), bfloat16: true };
}

/** Recordings name it `expected_error`, or say it where the answer would be. */
function failureOf(item: Json, expected: Json): string | null {
  const said = [...Object.entries(item), ...Object.entries(expected)];
  const error = said.find(([name, value]) => /error|raises/.test(name) && value !== null)?.[1];
  return error === undefined ? null : JSON.stringify(error);
}

const rewardOf = (reward: unknown): number | null => (typeof reward === "number" ? reward : null);

function objectOf(where: string, value: unknown): Json {
  if (isObject(value)) return value;
  throw invalid(where, value, "an object");
}

function listOf(where: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid(where, value, "a list");
}

function lengthOf(where: string, value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(where, value, "a number of tokens");
}

function invalid(where: string, value: unknown, allowed: string): LightningError {
  const read = (JSON.stringify(value) ?? "nothing").slice(0, 80);
  return new LightningError("record-invalid", `${where} is ${read}, allowed is ${allowed}`);
}
