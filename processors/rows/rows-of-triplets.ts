import { LightningError } from "../../schemas/errors.ts";
import { isObject } from "./difference.ts";
import { logprobsOf, packInto, type RolloutTurns, type Turn, tokens } from "./turn.ts";

/** The triplets of one rollout, of any adapter that gives token ids. */
export type RolloutTriplets = {
  readonly rollout_id: string;
  readonly data_id?: string | undefined;
  readonly triplets: readonly unknown[];
};

/**
 * A rollout's turns; its reward is that of the last triplet that has one
 * (reference/v0.3-behaviour.md, 4.2).
 *
 * @throws LightningError `record-invalid` naming the triplet and the field.
 */
export function turnsOfTriplets({ rollout_id, data_id, triplets }: RolloutTriplets): RolloutTurns {
  let reward: number | null = null;
  const lists: (readonly unknown[])[] = [];
  let count = 0;
  for (const [i, triplet] of triplets.entries()) {
    if (!isObject(triplet)) throw invalid(rollout_id, i, "", triplet, "an object");
    if (typeof triplet.reward === "number") reward = triplet.reward;
    for (const part of ["prompt", "response"]) {
      const list = idsIn(triplet[part]);
      if (!Array.isArray(list)) throw invalid(rollout_id, i, part, list, "a list of token ids");
      lists.push(list);
      count += list.length;
    }
  }
  // One block for all: a block per list costs more than what is in it.
  const block = new Int32Array(count);
  let end = 0;
  const packed = lists.map((list, k): Int32Array => {
    const at = end;
    end += list.length;
    if (!packInto(block, at, list)) {
      tokens(placeOf(rollout_id, k >> 1, k % 2 === 0 ? "prompt" : "response"), list);
    }
    return new Int32Array(block.buffer, at * 4, list.length);
  });
  const turns = triplets.map(
    (triplet, i): Turn => ({
      prompt_ids: packed[2 * i] ?? block,
      response_ids: packed[2 * i + 1] ?? block,
      logprobs: isObject(triplet) ? sampledIn(triplet.response) : null,
      policy: isObject(triplet) ? policyIn(triplet.metadata) : undefined,
    }),
  );
  return { rollout_id, data_id, reward, turns };
}

/** Where a selection routes agents to policies, the triplet says to which. */
function policyIn(metadata: unknown): string | undefined {
  const policy = isObject(metadata) ? metadata.policy : undefined;
  return typeof policy === "string" ? policy : undefined;
}

function idsIn(part: unknown): unknown {
  return isObject(part) ? (part.token_ids ?? []) : part;
}

const placeOf = (rollout: string, index: number, part: string): string =>
  `rollout ${rollout}, triplet ${index}${part === "" ? "" : `: ${part}.token_ids`}`;

/** Log-probs stand beside the ids: numbers, or what OpenAI says of each token. */
function sampledIn(response: unknown): Float32Array | null {
  if (!isObject(response)) return null;
  const { log_probs, logprobs } = response;
  const list = log_probs ?? logprobs;
  if (!Array.isArray(list) || list.length === 0) return null;
  return logprobsOf(list.map((item: unknown) => (isObject(item) ? item.logprob : item)));
}

function invalid(rollout: string, i: number, part: string, read: unknown, allowed: string) {
  const shown = JSON.stringify(read)?.slice(0, 80) ?? "nothing";
  const message = `${placeOf(rollout, i, part)} is ${shown}, allowed is ${allowed}`;
  return new LightningError("record-invalid", message);
}
