import { setTimeout as sleep } from "node:timers/promises";
import { LightningError } from "../../../schemas/errors.ts";
import {
  ackBatch,
  type Batch,
  leaseBatch,
  rowOf,
  type TrainerAddress,
  type WorkerResource,
} from "./batches.ts";
import { createOptimizer, type LearnMetrics, type Optimizer, trainStep } from "./learn.ts";
import { createPolicy, load, type Policy, serialize } from "./policy.ts";
import type { Served } from "./serve.ts";

/** Resource set of the policy, and the names in it. */
export const policyResources = { id: "policy", llm: "main_llm", weights: "weights" } as const;

export type WorkerSettings = {
  readonly trainer: TrainerAddress;
  /** Base URL of a gateway, with `/projects/<name>` for a project other than `default`. */
  readonly gatewayUrl: string;
  /** Where agents reach the model, `…/v1`. */
  readonly endpoint: string;
  readonly model: string;
  readonly workerId: string;
  /** Seed of the random policy it starts from when the log has none. */
  readonly seed: number;
  /** Rows to ask for in a batch. */
  readonly maxSamples: number;
  readonly maxStaleness: number;
};

/**
 * The policy in the log, or a random one; published with our endpoint, so that agents find us.
 *
 * @throws LightningError `engine-unavailable` when the gateway does not answer.
 */
export async function startPolicy(settings: WorkerSettings): Promise<Served> {
  const known = await fetchPolicy(settings);
  const policy = known ?? createPolicy(settings.seed);
  const resources = Object.fromEntries(
    resourcesOf(settings, policy).map(({ name, kind, json, blob }) => [
      name,
      {
        kind,
        ...json,
        ...(blob === undefined ? {} : { blob: Buffer.from(blob).toString("base64") }),
      },
    ]),
  );
  const url = `${settings.gatewayUrl}/api/v1/resources/${policyResources.id}`;
  const answer = await fetch(url, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ resources }),
  });
  if (!answer.ok) throw unavailable(`PUT ${url} answered ${answer.status}: ${await answer.text()}`);
  const { version } = (await answer.json()) as { version: number };
  return { policy, version };
}

async function fetchPolicy({ gatewayUrl }: WorkerSettings): Promise<Policy | undefined> {
  const url = `${gatewayUrl}/api/v1/resources/${policyResources.id}`;
  const answer = await fetch(url);
  if (answer.status === 404) return undefined;
  if (!answer.ok) throw unavailable(`GET ${url} answered ${answer.status}`);
  const { resources } = (await answer.json()) as { resources: Record<string, { blob?: string }> };
  const blob = resources[policyResources.weights]?.blob;
  return blob === undefined ? undefined : load(Buffer.from(blob, "base64"));
}

function unavailable(message: string): LightningError {
  return new LightningError("engine-unavailable", message);
}

function resourcesOf({ endpoint, model }: WorkerSettings, policy: Policy): WorkerResource[] {
  return [
    { name: policyResources.llm, kind: "llm", json: { endpoint, model } },
    {
      name: policyResources.weights,
      kind: "weights",
      json: { format: "lightning-policy-1" },
      blob: serialize(policy),
    },
  ];
}

/** What the worker tells of each batch. */
export type TrainedBatch = { readonly version: number; readonly metrics: LearnMetrics };

/**
 * Leases, trains, acknowledges, until aborted. The acknowledgement carries the new weights; only
 * when it is durable, and so has a version, are they served.
 */
export async function trainForEver(
  settings: WorkerSettings,
  served: Served,
  signal: AbortSignal,
  onTrained: (batch: TrainedBatch) => void,
): Promise<void> {
  const optimizer = createOptimizer(served.policy);
  while (!signal.aborted) {
    try {
      const batch = (await lease(settings, enough, signal)) ?? (await lease(settings, any, signal));
      if (batch !== null) onTrained(await trainBatch(settings, served, optimizer, batch));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof LightningError) || error.reaction === "exit") throw error;
      // Expired, fenced or away: what was not acknowledged is given out again.
      await sleep(500, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** A full batch learns best; after a moment what there is will do. */
const enough = { minSamples: 96, waitSeconds: 0.5 };
const any = { minSamples: 1, waitSeconds: 2 };

function lease(
  { trainer, workerId, maxSamples, maxStaleness }: WorkerSettings,
  amount: typeof any,
  signal: AbortSignal,
): Promise<Batch | null> {
  return leaseBatch(
    trainer,
    { workerId, maxSamples, maxStaleness, ...amount, text: false },
    signal,
  );
}

async function trainBatch(
  settings: WorkerSettings,
  served: Served,
  optimizer: Optimizer,
  batch: Batch,
): Promise<TrainedBatch> {
  const rows = Array.from({ length: batch.arrays.advantages.length }, (_, i) => rowOf(batch, i));
  const usable = rows.filter((row) => row.logprobs.every((logprob) => !Number.isNaN(logprob)));
  const policy: Policy = { weights: Float32Array.from(served.policy.weights) };
  // Both are copies: an acknowledgement that fails has trained nothing.
  const trained = { m: optimizer.m.slice(), v: optimizer.v.slice(), step: optimizer.step };
  const metrics = trainStep(policy, trained, usable);
  const { version } = await ackBatch(settings.trainer, batch.header.lease_id, {
    metrics,
    resources: { resourcesId: policyResources.id, resources: resourcesOf(settings, policy) },
  });
  Object.assign(optimizer, trained);
  served.policy = policy;
  served.version = version ?? served.version;
  return { version: served.version, metrics };
}
