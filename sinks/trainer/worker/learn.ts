import { backward, decide, type Policy } from "./policy.ts";
import { readPrompt } from "./prompt.ts";
import { seededRandom } from "./random.ts";
export type Row = { promptIds: Int32Array; responseIds: Int32Array; logprobs: Float32Array; advantage: number };
export type Adam = { m: Float32Array; v: Float32Array; step: number; lr: number };
export const createAdam = (p: Policy, lr: number): Adam => ({ m: new Float32Array(p.weights.length), v: new Float32Array(p.weights.length), step: 0, lr });
export type Options = { clip: number; entropy: number; epochs: number; minibatch: number; maxNorm: number; seed: number };

export function trainStep(policy: Policy, adam: Adam, rows: readonly Row[], opt: Options) {
  const random = seededRandom(opt.seed + adam.step * 7919);
  const read = rows.map((r) => ({ ...r, prompt: readPrompt([...r.promptIds]), resp: [...r.responseIds] }));
  const grad = new Float32Array(policy.weights.length);
  let clipped = 0, tokens = 0, kl = 0, ent = 0;
  for (let epoch = 0; epoch < opt.epochs; epoch++) {
    const order = read.map((_, i) => i);
    for (let i = order.length - 1; i > 0; i--) { const j = Math.floor(random() * (i + 1)); [order[i], order[j]] = [order[j]!, order[i]!]; }
    for (let s = 0; s < order.length; s += opt.minibatch) {
      const batch = order.slice(s, s + opt.minibatch);
      grad.fill(0);
      for (const i of batch) {
        const r = read[i]!;
        if (r.advantage === 0 && opt.entropy === 0) continue;
        for (let t = 0; t < r.resp.length; t++) {
          const dec = decide(policy, r.prompt, r.resp.slice(0, t));
          if (!dec || dec.legal.length < 2) continue;
          const k = dec.legal.indexOf(r.resp[t]!);
          const lp = dec.logProbs[k]!;
          const ratio = Math.exp(lp - r.logprobs[t]!);
          const out = r.advantage > 0 ? ratio > 1 + opt.clip : ratio < 1 - opt.clip;
          tokens++; if (out) clipped++;
          kl += ratio - 1 - Math.log(ratio);
          const g = out ? 0 : -r.advantage * ratio / batch.length;
          let H = 0; for (const l of dec.logProbs) H -= Math.exp(l) * l;
          ent += H;
          const dz = dec.logProbs.map((l, j) => { const p = Math.exp(l); return g * ((j === k ? 1 : 0) - p) + opt.entropy / batch.length * p * (l + H); });
          backward(policy, dec, dz, grad);
        }
      }
      let norm = 0; for (const g of grad) norm += g * g; norm = Math.sqrt(norm);
      const sc = norm > opt.maxNorm ? opt.maxNorm / norm : 1;
      adam.step++;
      const b1 = 0.9, b2 = 0.99;
      const c1 = 1 - b1 ** adam.step, c2 = 1 - b2 ** adam.step;
      const { m, v } = adam; const w = policy.weights;
      for (let i = 0; i < w.length; i++) {
        const g = grad[i]! * sc;
        m[i] = b1 * m[i]! + (1 - b1) * g; v[i] = b2 * v[i]! + (1 - b2) * g * g;
        w[i] = w[i]! - adam.lr * (m[i]! / c1) / (Math.sqrt(v[i]! / c2) + 1e-8);
      }
    }
  }
  return { clip: clipped / tokens, kl: kl / tokens, entropy: ent / tokens };
}
