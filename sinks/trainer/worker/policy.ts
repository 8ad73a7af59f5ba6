import { type Features, featureCount, featuresOf } from "./features.ts";
import { legalNext } from "./grammar.ts";
import type { Prompt } from "./prompt.ts";
import { normal, type Random, seededRandom } from "./random.ts";
import { markId } from "./vocabulary.ts";

/**
 * A small but real language model: π(token | prompt, tokens so far) is a softmax over the tokens the
 * grammar allows, of a score that is linear in hashed features (features.ts). It starts random.
 */
export type Policy = { readonly weights: Float32Array };

const initialScale = 0.02;
const turn = markId("<assistant>");

export function createPolicy(seed: number): Policy {
  const random = seededRandom(seed);
  return {
    weights: Float32Array.from({ length: featureCount }, () => initialScale * normal(random)),
  };
}

/** One choice of a token: what was allowed, and how likely each was. */
export type Decision = {
  readonly allowed: readonly number[];
  readonly features: readonly Features[];
  readonly logProbs: Float64Array;
};

/** The distribution of the next token; undefined when the response is complete. */
export function decide(
  { weights }: Policy,
  prompt: Prompt,
  response: readonly number[],
): Decision | undefined {
  const allowed = legalNext(prompt.functions, prompt.sayable, response);
  if (allowed.length === 0) return undefined;
  if (allowed.length === 1) return { allowed, features: [], logProbs: new Float64Array(1) };
  const last = response.at(-1) ?? turn;
  const features = allowed.map((candidate) => featuresOf(prompt, last, candidate));
  return { allowed, features, logProbs: logSoftmax(features.map((f) => score(weights, f))) };
}

function score(weights: Float32Array, { at, value }: Features): number {
  let sum = 0;
  for (let i = 0; i < at.length; i++) sum += (weights[at[i] ?? 0] ?? 0) * (value[i] ?? 0);
  return sum;
}

function logSoftmax(scores: readonly number[]): Float64Array {
  const most = Math.max(...scores);
  const total = most + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - most), 0));
  return Float64Array.from(scores, (s) => s - total);
}

/**
 * Adds the gradient of a loss to `gradient`, given its derivative by each score of the decision.
 */
export function backward(decision: Decision, byScore: Float64Array, gradient: Float64Array): void {
  decision.features.forEach(({ at, value }, k) => {
    const g = byScore[k] ?? 0;
    for (let i = 0; i < at.length; i++) {
      const index = at[i] ?? 0;
      gradient[index] = (gradient[index] ?? 0) + g * (value[i] ?? 0);
    }
  });
}

/** A generated response with the log-probability of each token under the policy. */
export type Generated = { readonly ids: number[]; readonly logprobs: number[] };

/**
 * Samples a response of at most `mostTokens`. The log-probs are those of the policy itself
 * (temperature 1), which is what training compares with; a temperature of 0 takes the likeliest.
 */
export function generate(
  policy: Policy,
  prompt: Prompt,
  temperature: number,
  random: Random,
  mostTokens = Number.POSITIVE_INFINITY,
): Generated {
  const ids: number[] = [];
  const logprobs: number[] = [];
  while (ids.length < mostTokens) {
    const decision = decide(policy, prompt, ids);
    if (decision === undefined) break;
    const pick = choose(decision.logProbs, temperature, random);
    ids.push(decision.allowed[pick] ?? 0);
    logprobs.push(decision.logProbs[pick] ?? 0);
  }
  return { ids, logprobs };
}

function choose(logProbs: Float64Array, temperature: number, random: Random): number {
  if (temperature === 0) return logProbs.indexOf(Math.max(...logProbs));
  const shares = logProbs.map((l) => Math.exp(l / temperature));
  let rest = random() * shares.reduce((sum, share) => sum + share, 0);
  for (let k = 0; k < shares.length; k++) {
    rest -= shares[k] ?? 0;
    if (rest < 0) return k;
  }
  return shares.length - 1;
}

const magic = "LSP1";
const headerBytes = 8;

/** The weights as one blob: `LSP1`, their number (uint32), float32; all little endian. */
export function serialize({ weights }: Policy): Buffer {
  const blob = Buffer.alloc(headerBytes + weights.length * 4);
  blob.write(magic, "latin1");
  blob.writeUInt32LE(weights.length, 4);
  weights.forEach((weight, i) => {
    blob.writeFloatLE(weight, headerBytes + i * 4);
  });
  return blob;
}

/** The policy of {@link serialize}; throws RangeError naming what does not fit. */
export function load(blob: Buffer): Policy {
  const read = blob.toString("latin1", 0, 4);
  if (read !== magic)
    throw new RangeError(`weights begin with ${JSON.stringify(read)}, must be ${magic}`);
  const count = blob.readUInt32LE(4);
  if (count !== featureCount || blob.length !== headerBytes + count * 4) {
    throw new RangeError(
      `weights hold ${count} numbers in ${blob.length} bytes, must be ${featureCount}`,
    );
  }
  return {
    weights: Float32Array.from({ length: count }, (_, i) => blob.readFloatLE(headerBytes + i * 4)),
  };
}
