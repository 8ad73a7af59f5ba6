import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeChat } from "./chat.ts";
import { createOptimizer, defaultLearnOptions, type TrainingRow, trainStep } from "./learn.ts";
import { createPolicy, decide, generate, type Policy } from "./policy.ts";
import { contextLength, readPrompt } from "./prompt.ts";
import { seededRandom } from "./random.ts";
import { markId, textId } from "./vocabulary.ts";

const promptIds = encodeChat([{ role: "user", content: "Find a quiet room for 4 people" }], []);
const prompt = readPrompt(promptIds);
const wanted = textId("quiet") ?? 0;

/** Rollouts of a bandit: "quiet" is the right answer, and only the advantage says so. */
function rollouts(policy: Policy, seed: number, scale: number): TrainingRow[] {
  const random = seededRandom(seed);
  return Array.from({ length: 32 }, () => {
    const { ids, logprobs } = generate(policy, prompt, 1, random);
    const advantage = scale * (ids[1] === wanted ? 1 : -0.2);
    return { promptIds, responseIds: ids, logprobs, advantage };
  });
}

function chanceOfWanted(policy: Policy): number {
  const decision = decide(policy, prompt, [markId("<say>")]);
  return Math.exp(decision?.logProbs[decision.allowed.indexOf(wanted)] ?? Number.NaN);
}

function trained(scale: number): Policy {
  const policy = createPolicy(1);
  const optimizer = createOptimizer(policy);
  for (let i = 0; i < 30; i++) trainStep(policy, optimizer, rollouts(policy, i, scale));
  return policy;
}

test("what earns an advantage becomes likely", () => {
  assert.ok(chanceOfWanted(createPolicy(1)) < 0.3);
  assert.ok(chanceOfWanted(trained(1)) > 0.9);
});

test("without advantages nothing is learned", () => {
  assert.ok(chanceOfWanted(trained(0)) < 0.3);
});

test("the same batches give the same weights", () => {
  assert.deepEqual(trained(1).weights, trained(1).weights);
});

/** The documented loss of one row, from the policy alone. */
function lossOf(policy: Policy, row: TrainingRow): number {
  const { clip, entropy } = defaultLearnOptions;
  const ids = Array.from(row.responseIds);
  return ids.reduce((sum, id, t) => {
    const decision = decide(policy, prompt, ids.slice(0, t));
    if (decision === undefined || decision.allowed.length < 2 || row.lossMask?.[t] === 0)
      return sum;
    const taken = decision.logProbs[decision.allowed.indexOf(id)] ?? 0;
    const ratio = Math.exp(taken - (row.logprobs[t] ?? 0));
    const clipped = Math.max(1 - clip, Math.min(1 + clip, ratio));
    const spread = -decision.logProbs.reduce((total, l) => total + Math.exp(l) * l, 0);
    return sum - Math.min(ratio * row.advantage, clipped * row.advantage) - entropy * spread;
  }, 0);
}

const steep = 1e-4;

test("a step goes down the gradient of the documented loss, clipped or not", () => {
  for (const [offset, advantage] of [
    [0.1, 1],
    [-0.1, -1],
    [-0.5, 1],
    [0.5, -1],
  ] as const) {
    // Far from uniform, so that the entropy bonus has a slope where the ratio is clipped.
    const policy = { weights: createPolicy(2).weights.map((weight) => weight * 20) };
    const { ids, logprobs } = generate(policy, prompt, 1, seededRandom(4));
    const sampled = logprobs.map((l) => l + offset);
    const row = { promptIds, responseIds: ids, logprobs: sampled, advantage };
    const before = Float32Array.from(policy.weights);
    const options = { ...defaultLearnOptions, epochs: 1 };
    trainStep(policy, createOptimizer(policy), [row], options);
    const slopes: number[] = [...before.keys()].map((i) => slope(before, i, row));
    const moved = slopes.filter((s, i) => Math.abs(s) > steep && policy.weights[i] !== before[i]);
    assert.ok(moved.length > 0, "some weights matter");
    slopes.forEach((s, i) => {
      const change = (policy.weights[i] ?? 0) - (before[i] ?? 0);
      // Adam's first step is as long for each weight; only its direction tells.
      if (Math.abs(s) > steep) assert.equal(Math.sign(change), -Math.sign(s), `weight ${i}`);
    });
  }
});

const touched = new Set(
  [[], [markId("<say>")]].flatMap(
    (response) => decide(createPolicy(2), prompt, response)?.features.flatMap(({ at }) => at) ?? [],
  ),
);

function slope(weights: Float32Array, index: number, row: TrainingRow): number {
  if (!touched.has(index)) return 0;
  const at = (weight: number): number => {
    const nudged = Float32Array.from(weights);
    nudged[index] = weight;
    return lossOf({ weights: nudged }, row);
  };
  const weight = weights[index] ?? 0;
  const [less, more] = [Math.fround(weight - 1e-3), Math.fround(weight + 1e-3)];
  return (at(more) - at(less)) / (more - less);
}

test("masked tokens, foreign tokens and prompts too long for this model train nothing", () => {
  const policy = createPolicy(3);
  const { ids, logprobs } = generate(policy, prompt, 1, seededRandom(4));
  const row = { promptIds, responseIds: ids, logprobs, advantage: 1 };
  const long = new Array(contextLength + 1).fill(20);
  const before = Float32Array.from(policy.weights);
  const metrics = trainStep(policy, createOptimizer(policy), [
    { ...row, lossMask: ids.map(() => 0) },
    { ...row, responseIds: ids.map(() => 999_999) },
    { ...row, responseIds: [-1], logprobs: [0] },
    { ...row, promptIds: long },
    { ...row, promptIds: [], responseIds: [] },
  ]);
  assert.equal(metrics.tokens, 0);
  assert.deepEqual(policy.weights, before);
});

test("metrics tell how far the policy moved", () => {
  const policy = createPolicy(1);
  const optimizer = createOptimizer(policy);
  const metrics = trainStep(policy, optimizer, rollouts(policy, 1, 1));
  assert.equal(metrics.rows, 32);
  assert.equal(metrics.tokens, 32);
  assert.ok(metrics.approx_kl > 0 && metrics.entropy > 0);
  assert.ok(metrics.clip_fraction >= 0 && metrics.clip_fraction <= 1);
});
