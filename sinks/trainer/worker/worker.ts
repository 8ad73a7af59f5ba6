import { setTimeout as sleep } from "node:timers/promises";
import { LightningError } from "../../../schemas/errors.ts";
import { ackBatch, type Batch, leaseBatch, rowOf, type TrainerAddress } from "./batches.ts";
import { createOptimizer, type LearnMetrics, type Optimizer, trainStep } from "./learn.ts";
import type { Policy } from "./policy.ts";
import { keepPublished, type Publisher, resourceSet, resourcesOf } from "./publish.ts";
import type { Served } from "./serve.ts";

export type WorkerSettings = Publisher & {
  readonly trainer: TrainerAddress;
  readonly workerId: string;
  /** Trains the rows of this policy alone, "" being those no selection routed; null: all rows. */
  readonly policy: string | null;
  /** Rows to ask for in a batch. */
  readonly maxSamples: number;
  readonly maxStaleness: number;
};

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
      const batch =
        (await lease(settings, enough, signal)) ??
        (await lease(settings, settings.policy === null ? any : anySoon, signal));
      if (batch !== null) onTrained(await trainBatch(settings, served, optimizer, batch));
      else if (settings.policy !== null) await keepPublished(settings, served);
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
/** Of one policy, which looks at what the others have published in between. */
const anySoon = { minSamples: 1, waitSeconds: 0.5 };

function lease(
  { trainer, workerId, policy, maxSamples, maxStaleness }: WorkerSettings,
  amount: typeof any,
  signal: AbortSignal,
): Promise<Batch | null> {
  return leaseBatch(
    trainer,
    {
      ...{ workerId, maxSamples, maxStaleness, ...amount, text: false },
      ...(policy !== null && { policy }),
    },
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
    resources: { resourcesId: resourceSet, resources: resourcesOf(settings, policy) },
  });
  Object.assign(optimizer, trained);
  served.policy = policy;
  served.version = version ?? served.version;
  return { version: served.version, metrics };
}
