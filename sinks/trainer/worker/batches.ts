import { setTimeout as sleep } from "node:timers/promises";
import { type ErrorCode, LightningError, messageOf, reactions } from "../../../schemas/errors.ts";
import { acknowledgementMagic } from "../acknowledgement.ts";
import type { BatchHeader } from "../batch.ts";
import { writeFrame } from "../framing.ts";
import { type BatchArrays, packedMediaType, unpackBatch } from "../packed.ts";

/** Where the trainer is: its base URL, with `/projects/<name>` for a project other than `default`. */
export type TrainerAddress = {
  readonly url: string;
  readonly apiKey?: string;
  /** How long an unreachable or restarting trainer is asked again, seconds; 60 unless said. */
  readonly retrySeconds?: number;
};

export type LeaseOptions = {
  readonly workerId: string;
  readonly maxSamples?: number;
  readonly maxTokens?: number;
  readonly minSamples?: number;
  readonly waitSeconds?: number;
  readonly maxStaleness?: number;
  readonly mode?: string;
  /** Only rows that train this policy; any policy unless said. */
  readonly policy?: string;
  readonly equalRewards?: "include" | "withhold";
  readonly leaseSeconds?: number;
  /** Messages, completions and tools in `header.rows`. */
  readonly text?: boolean;
};

/** A leased batch; the arrays lie in the response's own memory (see packed.ts for their meaning). */
export type Batch = { readonly header: BatchHeader; readonly arrays: BatchArrays };

/** One row of a batch; the lists are views into its arrays. */
export type BatchRow = {
  readonly promptIds: Int32Array;
  readonly responseIds: Int32Array;
  /** NaN where unknown. */
  readonly logprobs: Float32Array;
  readonly lossMask: Uint8Array;
  readonly advantage: number;
  readonly weight: number;
  /** Null when unknown. */
  readonly policyVersion: number | null;
};

export type WorkerResource = {
  readonly name: string;
  readonly kind: "llm" | "proxy_llm" | "prompt_template" | "weights";
  readonly json?: Readonly<Record<string, unknown>>;
  readonly blob?: Uint8Array;
};

/** What training a batch gave. */
export type Trained = {
  readonly metrics: Readonly<Record<string, number>>;
  /** The new version; a missing id means the set the batch ran with. */
  readonly resources?: {
    readonly resourcesId?: string;
    readonly resources: readonly WorkerResource[];
  };
};

/**
 * Leases a batch; null when none came within `waitSeconds`. Throws LightningError with the code the
 * trainer gave, or `engine-unavailable` when it could not be reached for `retrySeconds`.
 */
export async function leaseBatch(
  trainer: TrainerAddress,
  options: LeaseOptions,
  signal?: AbortSignal,
): Promise<Batch | null> {
  const body = JSON.stringify({
    worker_id: options.workerId,
    max_samples: options.maxSamples,
    max_tokens: options.maxTokens,
    min_samples: options.minSamples,
    wait_seconds: options.waitSeconds,
    max_staleness: options.maxStaleness,
    mode: options.mode,
    policy: options.policy,
    equal_rewards: options.equalRewards,
    lease_seconds: options.leaseSeconds,
    text: options.text,
  });
  const response = await post(trainer, "lease", { body, type: jsonType, signal });
  if (response.status === 204) return null;
  return unpackBatch(Buffer.from(await response.arrayBuffer()));
}

/** Row `i` of a batch. */
export function rowOf({ arrays }: Batch, i: number): BatchRow {
  const prompt = [arrays.prompt_offsets[i], arrays.prompt_offsets[i + 1]] as const;
  const response = [arrays.response_offsets[i], arrays.response_offsets[i + 1]] as const;
  const version = Number(arrays.policy_version[i] ?? -1n);
  return {
    promptIds: arrays.prompt_ids.subarray(...prompt),
    responseIds: arrays.response_ids.subarray(...response),
    logprobs: arrays.logprobs.subarray(...response),
    lossMask: arrays.loss_mask.subarray(...response),
    advantage: arrays.advantages[i] ?? Number.NaN,
    weight: arrays.weights[i] ?? Number.NaN,
    policyVersion: version < 0 ? null : version,
  };
}

/** Gives the lease so many seconds from now. Throws `conflict` when it has ended. */
export async function extendLease(
  trainer: TrainerAddress,
  leaseId: string,
  leaseSeconds: number,
): Promise<void> {
  const body = JSON.stringify({ lease_seconds: leaseSeconds });
  await post(trainer, `${leaseId}/extend`, { body, type: jsonType });
}

/**
 * Says that a batch was trained and hands its resources in. Safe to repeat: a second time gets the
 * first answer. Throws `conflict` when the lease ran out and somebody else has the groups.
 */
export async function ackBatch(
  trainer: TrainerAddress,
  leaseId: string,
  trained: Trained,
): Promise<{ readonly resourcesId: string | null; readonly version: number | null }> {
  const body = packAcknowledgement(trained);
  const response = await post(trainer, `${leaseId}/ack`, {
    body,
    type: "application/octet-stream",
  });
  const answer = (await response.json()) as { resources_id: string | null; version: number | null };
  return { resourcesId: answer.resources_id, version: answer.version };
}

/** Hands a batch back untrained; it is given out again. */
export async function nackBatch(
  trainer: TrainerAddress,
  leaseId: string,
  reason: string,
): Promise<void> {
  await post(trainer, `${leaseId}/nack`, { body: JSON.stringify({ reason }), type: jsonType });
}

/** The packed body of an acknowledgement; see acknowledgement.ts. */
export function packAcknowledgement({ metrics, resources }: Trained): Buffer {
  const blobs: Uint8Array[] = [];
  let offset = 0;
  const packed = resources?.resources.map(({ name, kind, json, blob }) => {
    if (blob === undefined) return { name, kind, json };
    const place = { offset, length: blob.length };
    blobs.push(blob);
    offset += blob.length;
    return { name, kind, json, blob: place };
  });
  const set = packed && { resources_id: resources?.resourcesId, resources: packed };
  // JSON turns NaN into null, which the trainer would refuse as no number: say which one it was.
  for (const [name, value] of Object.entries(metrics)) {
    if (Number.isFinite(value)) continue;
    const message = `metrics.${name}: read ${value}, allowed is a finite number`;
    throw new LightningError("request-invalid", message, { field: `metrics.${name}` });
  }
  const header = Buffer.from(JSON.stringify({ metrics, resources: set }));
  return writeFrame(acknowledgementMagic, header, blobs);
}

const jsonType = "application/json";

type Post = {
  readonly body: string | Buffer;
  readonly type: string;
  readonly signal?: AbortSignal | undefined;
};

async function post(trainer: TrainerAddress, path: string, call: Post): Promise<Response> {
  const deadline = Date.now() + (trainer.retrySeconds ?? 60) * 1000;
  for (let delay = 50; ; delay = Math.min(delay * 2, 2000)) {
    try {
      return await postOnce(trainer, path, call);
    } catch (error) {
      const passes = error instanceof LightningError && error.reaction !== "refuse";
      if (!passes || call.signal?.aborted || Date.now() + delay > deadline) throw error;
      await sleep(delay, undefined, call.signal === undefined ? {} : { signal: call.signal });
    }
  }
}

async function postOnce(trainer: TrainerAddress, path: string, call: Post): Promise<Response> {
  const url = `${trainer.url.replace(/\/+$/, "")}/v1/batches/${path}`;
  const headers: Record<string, string> = {
    "content-type": call.type,
    accept: `${packedMediaType}, ${jsonType}`,
  };
  if (trainer.apiKey !== undefined) headers.authorization = `Bearer ${trainer.apiKey}`;
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers,
      body: call.body,
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
  } catch (error) {
    throw new LightningError("engine-unavailable", `trainer at ${url}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (!response.ok) throw await refusalOf(response, url);
  return response;
}

async function refusalOf(response: Response, url: string): Promise<LightningError> {
  const text = await response.text();
  let error: { code?: string; message?: string } = {};
  try {
    error = (JSON.parse(text) as { error?: typeof error }).error ?? {};
  } catch {
    // A proxy in between answers in its own words; the status is all there is.
  }
  const fallback: ErrorCode = response.status >= 500 ? "engine-unavailable" : "request-invalid";
  const code =
    error.code !== undefined && error.code in reactions ? (error.code as ErrorCode) : fallback;
  const message = error.message ?? `${url} answered ${response.status}`;
  return new LightningError(code, message, { httpStatus: response.status });
}
