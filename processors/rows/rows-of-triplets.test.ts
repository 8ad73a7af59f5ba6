import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../schemas/errors.ts";
import { turnsOfTriplets } from "./rows-of-triplets.ts";

const triplet = (reward: number | null, response: object = {}) => ({
  prompt: { token_ids: [1, 2], raw_content: null, image_urls: [] },
  response: { token_ids: [3, 4], ...response },
  reward,
  metadata: {},
});

test("a rollout's reward is that of its last triplet that has one, zero being one", () => {
  const rewardOf = (...rewards: (number | null)[]) =>
    turnsOfTriplets({ rollout_id: "r", triplets: rewards.map((one) => triplet(one)) }).reward;
  assert.equal(rewardOf(1, 0, null), 0);
  assert.equal(rewardOf(null), null);
});

test("log-probs are read as numbers or as OpenAI gives them, and not at all when one is missing", () => {
  const of = (response: object) =>
    turnsOfTriplets({ rollout_id: "r", triplets: [triplet(1, response)] }).turns[0]?.logprobs;
  const expected = Float32Array.of(-0.5, -1);
  assert.deepEqual(of({ log_probs: [-0.5, -1] }), expected);
  assert.deepEqual(of({ logprobs: [{ token: "a", logprob: -0.5 }, { logprob: -1 }] }), expected);
  assert.equal(of({ logprobs: [{ logprob: -0.5 }, {}] }), null);
  assert.equal(of({}), null);
});

test("a turn is of the policy its triplet was routed to", () => {
  const routed = { ...triplet(1), metadata: { policy: "writer" } };
  const { turns } = turnsOfTriplets({ rollout_id: "r", triplets: [routed, triplet(1)] });
  assert.deepEqual(
    turns.map(({ policy }) => policy),
    ["writer", undefined],
  );
});

test("an id that is none is named with its place", () => {
  const broken = { prompt: { token_ids: [1, "2"] }, response: { token_ids: [] }, reward: null };
  assert.throws(
    () => turnsOfTriplets({ rollout_id: "r", triplets: [triplet(1), broken] }),
    (error: Error) =>
      codeOf(error) === "record-invalid" &&
      /^rollout r, triplet 1: prompt\.token_ids\[1\] is "2"/.test(error.message),
  );
});
