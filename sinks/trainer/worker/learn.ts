import { backward, type Decision, decide, type Policy } from "./policy.ts";
import { contextLength, type Prompt, readPrompt } from "./prompt.ts";
import { seededRandom } from "./random.ts";

/** A transition as training needs it. */
export type TrainingRow = {
  readonly promptIds: ArrayLike<number>;
  readonly responseIds: ArrayLike<number>;
  /** Log-prob of each response token when it was sampled. */
  readonly logprobs: ArrayLike<number>;
  readonly advantage: number;
  /** 1 trains, 0 does not; absent: every token trains. */
  readonly lossMask?: ArrayLike<number>;
};

/** State of Adam (arXiv 1412.6980). */
export type Optimizer = { readonly m: Float64Array; readonly v: Float64Array; step: number };

export type LearnOptions = {
  readonly learningRate: number;
  /** ε of the clipped surrogate (PPO, arXiv 1707.06347). */
  readonly clip: number;
  /** Weight of the entropy bonus. */
  readonly entropy: number;
  readonly epochs: number;
  readonly minibatch: number;
  /** Largest norm of a minibatch's gradient. */
  readonly maxNorm: number;
};

export const defaultLearnOptions: LearnOptions = {
  learningRate: 0.03,
  clip: 0.2,
  entropy: 0.02,
  epochs: 3,
  minibatch: 64,
  maxNorm: 1,
};

export type LearnMetrics = {
  readonly loss: number;
  readonly clip_fraction: number;
  readonly approx_kl: number;
  readonly entropy: number;
  readonly rows: number;
  readonly tokens: number;
};

export function createOptimizer({ weights }: Policy): Optimizer {
  return { m: new Float64Array(weights.length), v: new Float64Array(weights.length), step: 0 };
}

type Sums = { loss: number; clipped: number; kl: number; entropy: number; tokens: number };
type ReadRow = TrainingRow & { readonly prompt: Prompt };

/**
 * Trains on one batch, in place: `epochs` passes of minibatches over
 * L = −min(ρA, clip(ρ, 1−ε, 1+ε)A) − entropy·H for each trained token, ρ = π/π_sampled.
 * Deterministic for the same policy, optimizer, rows and options.
 */
export function trainStep(
  policy: Policy,
  optimizer: Optimizer,
  rows: readonly TrainingRow[],
  options: LearnOptions = defaultLearnOptions,
): LearnMetrics {
  const random = seededRandom(optimizer.step + 1);
  const read: ReadRow[] = rows
    // A longer prompt was never ours; its gradient is nought, its cost is not.
    .filter((row) => row.promptIds.length <= contextLength)
    .map((row) => ({ ...row, prompt: readPrompt(Array.from(row.promptIds)) }));
  const gradient = new Float64Array(policy.weights.length);
  const sums: Sums = { loss: 0, clipped: 0, kl: 0, entropy: 0, tokens: 0 };
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    const order = shuffled(read, random);
    for (let at = 0; at < order.length; at += options.minibatch) {
      const batch = order.slice(at, at + options.minibatch);
      gradient.fill(0);
      for (const row of batch) addRow(policy, row, 1 / batch.length, options, gradient, sums);
      update(policy, optimizer, gradient, options);
    }
  }
  const tokens = Math.max(1, sums.tokens);
  return {
    loss: sums.loss / tokens,
    clip_fraction: sums.clipped / tokens,
    approx_kl: sums.kl / tokens,
    entropy: sums.entropy / tokens,
    rows: rows.length,
    tokens: sums.tokens / options.epochs,
  };
}

function addRow(
  policy: Policy,
  row: ReadRow,
  share: number,
  options: LearnOptions,
  gradient: Float64Array,
  sums: Sums,
): void {
  const response = Array.from(row.responseIds);
  response.forEach((id, t) => {
    if (row.lossMask !== undefined && row.lossMask[t] === 0) return;
    const decision = decide(policy, row.prompt, response.slice(0, t));
    const taken = decision?.allowed.indexOf(id) ?? -1;
    if (decision === undefined || decision.allowed.length < 2 || taken < 0) return;
    const byScore = tokenLoss(
      decision,
      taken,
      row.logprobs[t] ?? 0,
      row.advantage,
      share,
      options,
      sums,
    );
    backward(decision, byScore, gradient);
  });
}

/** Adds a token's loss to the sums; returns its derivative by each score. */
function tokenLoss(
  { logProbs }: Decision,
  taken: number,
  sampled: number,
  advantage: number,
  share: number,
  { clip, entropy: bonus }: LearnOptions,
  sums: Sums,
): Float64Array {
  const ratio = Math.exp((logProbs[taken] ?? 0) - sampled);
  const isClipped = advantage > 0 ? ratio > 1 + clip : ratio < 1 - clip;
  const entropy = -logProbs.reduce((sum, l) => sum + Math.exp(l) * l, 0);
  sums.tokens += 1;
  sums.clipped += isClipped ? 1 : 0;
  sums.kl += ratio - 1 - Math.log(ratio);
  sums.entropy += entropy;
  const bounded = Math.max(1 - clip, Math.min(1 + clip, ratio));
  sums.loss += -Math.min(ratio * advantage, bounded * advantage) - bonus * entropy;
  const pull = isClipped ? 0 : -advantage * ratio * share;
  return logProbs.map((l, k) => {
    const p = Math.exp(l);
    return pull * ((k === taken ? 1 : 0) - p) + bonus * share * p * (l + entropy);
  });
}

const beta1 = 0.9;
const beta2 = 0.99;
const epsilon = 1e-8;

function update(
  { weights }: Policy,
  optimizer: Optimizer,
  gradient: Float64Array,
  { learningRate, maxNorm }: LearnOptions,
): void {
  const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
  const scale = norm > maxNorm ? maxNorm / norm : 1;
  const { m, v } = optimizer;
  optimizer.step += 1;
  const mScale = 1 / (1 - beta1 ** optimizer.step);
  const vScale = 1 / (1 - beta2 ** optimizer.step);
  for (let i = 0; i < weights.length; i++) {
    const g = (gradient[i] ?? 0) * scale;
    const mean = beta1 * (m[i] ?? 0) + (1 - beta1) * g;
    const square = beta2 * (v[i] ?? 0) + (1 - beta2) * g * g;
    m[i] = mean;
    v[i] = square;
    weights[i] =
      (weights[i] ?? 0) - (learningRate * mean * mScale) / (Math.sqrt(square * vScale) + epsilon);
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [order[i], order[j]];
    if (a !== undefined && b !== undefined) {
      order[i] = b;
      order[j] = a;
    }
  }
  return order;
}
