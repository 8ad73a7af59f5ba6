import { legalNext } from "./grammar.ts";
import type { Prompt } from "./prompt.ts";
import { normal, type Random, seededRandom } from "./random.ts";
import { addScaled, dot } from "./vectors.ts";
import { knownTokens, markId, weightRow, kindOf } from "./vocabulary.ts";

export const tables = ["ask", "line", "before", "self", "after", "last", "speaker", "out"] as const;
export type Table = (typeof tables)[number];
export const rowCount = knownTokens + 1;

export type Policy = { readonly width: number; readonly weights: Float32Array };

export const offsetOf = (policy: { width: number }, table: Table, row: number): number =>
  (tables.indexOf(table) * rowCount + row) * policy.width;

export const options = { scale: 0.1, said: "prompt" as "prompt" | "all" | "tool", single: false };

export function createPolicy(seed: number, width = 16): Policy {
  const random = seededRandom(seed);
  const weights = Float32Array.from({ length: tables.length * rowCount * width }, () => options.scale * normal(random));
  return { width, weights };
}

const allWords = Array.from({ length: knownTokens }, (_, i) => i).filter((i) => kindOf(i) === "word");

const saidCache = new WeakMap<Prompt, readonly number[]>();
export function said(prompt: Prompt): readonly number[] {
  if (options.said === "all") return allWords;
  let v = saidCache.get(prompt);
  if (!v) {
    let ids = prompt.ids;
    if (options.said === "tool") {
      const r = ids.slice(0, -1).findLastIndex((id) => id === prompt.speaker);
      ids = ids.slice(r);
    }
    v = [...new Set(ids.filter((i) => kindOf(i) === "word"))];
    saidCache.set(prompt, v);
  }
  return v;
}

export type Decision = {
  readonly prompt: Prompt;
  readonly lastRow: number;
  readonly legal: readonly number[];
  readonly query: Float64Array;
  readonly state: Float64Array;
  /** positions of copy entries, and index into legal */
  readonly positions: number[];
  readonly slot: number[];
  readonly keys: Float64Array;
  readonly genScores: Float64Array;
  readonly copyScores: Float64Array;
  readonly logProbs: Float64Array; // per legal
};

export function decide(policy: Policy, prompt: Prompt, response: readonly number[]): Decision | undefined {
  const legal = legalNext(prompt.functions, said(prompt), response);
  if (legal.length === 0) return undefined;
  const { width: d, weights: w } = policy;
  const o = (t: Table, r: number) => offsetOf(policy, t, r);
  const lastRow = weightRow(response.at(-1) ?? markId("<assistant>"));
  const query = new Float64Array(d);
  const state = new Float64Array(d);
  addScaled(query, 0, 1, w, o("ask", lastRow), d);
  for (let i = prompt.asked[0]; i < prompt.asked[1]; i++) addScaled(query, 0, 1, w, o("ask", prompt.rows[i] ?? 0), d);
  addScaled(state, 0, 1, w, o("last", lastRow), d);
  addScaled(state, 0, 1, w, o("speaker", prompt.speaker), d);
  const n = legal.length;
  const genScores = new Float64Array(n);
  const index = new Map<number, number>();
  legal.forEach((id, k) => {
    index.set(id, k);
    genScores[k] = dot(state, 0, w, o("out", weightRow(id)), d);
  });
  const positions: number[] = [];
  const slot: number[] = [];
  if (n > 1) prompt.ids.forEach((id, at) => {
    const k = index.get(id);
    if (k !== undefined) { positions.push(at); slot.push(k); }
  });
  const keys = new Float64Array(positions.length * d);
  const copyScores = new Float64Array(positions.length);
  const lineSums = new Map<number, Float64Array>();
  positions.forEach((at, e) => {
    const line = prompt.lines[at] ?? 0;
    let sum = lineSums.get(line);
    if (!sum) {
      sum = new Float64Array(d);
      for (let i = prompt.lineStarts[line] ?? 0; i < (prompt.lineStarts[line + 1] ?? 0); i++) addScaled(sum, 0, 1, w, o("line", prompt.rows[i] ?? 0), d);
      lineSums.set(line, sum);
    }
    addScaled(keys, e * d, 1, sum, 0, d);
    if (at > 0) addScaled(keys, e * d, 1, w, o("before", prompt.rows[at - 1] ?? 0), d);
    addScaled(keys, e * d, 1, w, o("self", prompt.rows[at] ?? 0), d);
    if (at + 1 < prompt.rows.length) addScaled(keys, e * d, 1, w, o("after", prompt.rows[at + 1] ?? 0), d);
    copyScores[e] = dot(query, 0, keys, e * d, d);
  });
  // log-sum-exp per legal
  const max = Math.max(...genScores, ...copyScores);
  const mass = genScores.map((s) => Math.exp(s - max));
  copyScores.forEach((s, e) => { mass[slot[e] ?? 0] = (mass[slot[e] ?? 0] ?? 0) + Math.exp(s - max); });
  const total = Math.log(mass.reduce((a, b) => a + b, 0));
  const logProbs = mass.map((m) => Math.log(m) - total);
  return { prompt, lastRow, legal, query, state, positions, slot, keys, genScores, copyScores, logProbs };
}

/** dz: gradient wrt. log-mass of each legal token */
export function backward(policy: Policy, dec: Decision, dz: Float64Array, grad: Float32Array): void {
  const { width: d, weights: w } = policy;
  const { prompt } = dec;
  const o = (t: Table, r: number) => offsetOf(policy, t, r);
  // z_k = log sum exp entries: recompute z
  const max = Math.max(...dec.genScores, ...dec.copyScores);
  const mass = dec.genScores.map((s) => Math.exp(s - max));
  dec.copyScores.forEach((s, e) => { mass[dec.slot[e] ?? 0] = (mass[dec.slot[e] ?? 0] ?? 0) + Math.exp(s - max); });
  const dq = new Float64Array(d);
  const dh = new Float64Array(d);
  dec.legal.forEach((id, k) => {
    const g = (dz[k] ?? 0) * Math.exp((dec.genScores[k] ?? 0) - max) / (mass[k] ?? 1);
    if (g === 0) return;
    const at = o("out", weightRow(id));
    addScaled(dh, 0, g, w, at, d);
    addScaled(grad, at, g, dec.state, 0, d);
  });
  addScaled(grad, o("last", dec.lastRow), 1, dh, 0, d);
  addScaled(grad, o("speaker", prompt.speaker), 1, dh, 0, d);
  const lineGrad = new Map<number, number>();
  dec.positions.forEach((at, e) => {
    const k = dec.slot[e] ?? 0;
    const g = (dz[k] ?? 0) * Math.exp((dec.copyScores[e] ?? 0) - max) / (mass[k] ?? 1);
    addScaled(dq, 0, g, dec.keys, e * d, d);
    const q = dec.query;
    if (at > 0) addScaled(grad, o("before", prompt.rows[at - 1] ?? 0), g, q, 0, d);
    addScaled(grad, o("self", prompt.rows[at] ?? 0), g, q, 0, d);
    if (at + 1 < prompt.rows.length) addScaled(grad, o("after", prompt.rows[at + 1] ?? 0), g, q, 0, d);
    const line = prompt.lines[at] ?? 0;
    lineGrad.set(line, (lineGrad.get(line) ?? 0) + g);
  });
  for (const [line, g] of lineGrad) {
    for (let i = prompt.lineStarts[line] ?? 0; i < (prompt.lineStarts[line + 1] ?? 0); i++) addScaled(grad, o("line", prompt.rows[i] ?? 0), g, dec.query, 0, d);
  }
  addScaled(grad, o("ask", dec.lastRow), 1, dq, 0, d);
  for (let i = prompt.asked[0]; i < prompt.asked[1]; i++) addScaled(grad, o("ask", prompt.rows[i] ?? 0), 1, dq, 0, d);
}

export type Generated = { ids: number[]; logprobs: number[] };
export function generate(policy: Policy, prompt: Prompt, temperature: number, random: Random): Generated {
  const ids: number[] = []; const logprobs: number[] = [];
  for (;;) {
    const dec = decide(policy, prompt, ids);
    if (!dec) return { ids, logprobs };
    let pick = 0;
    if (temperature === 0) {
      dec.logProbs.forEach((p, k) => { if (p > (dec.logProbs[pick] ?? 0)) pick = k; });
    } else {
      const ps = dec.logProbs.map((l) => Math.exp(l / temperature));
      let u = random() * ps.reduce((a, b) => a + b, 0);
      pick = ps.length - 1;
      for (let k = 0; k < ps.length; k++) { u -= ps[k] ?? 0; if (u < 0) { pick = k; break; } }
    }
    ids.push(dec.legal[pick] ?? 0); logprobs.push(dec.logProbs[pick] ?? 0);
  }
}
