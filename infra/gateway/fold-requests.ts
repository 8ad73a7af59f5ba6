import type { Place } from "../../processors/processor.ts";
import type { Answer, Rollouts } from "../../producers/gateway/ports.ts";
import type { Append } from "../../producers/producer.ts";
import type { Request, Verdict } from "../../schemas/requests.ts";
import { isFinished } from "../../schemas/statuses.ts";
import { keyOf, topics } from "../../schemas/topics.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { type Tail, type Tailed, tailPartition } from "../fold-partition.ts";
import { topicOffsets } from "../kafka/admin.ts";
import type { Appender } from "../kafka/append.ts";
import type { Runtime } from "../runtime.ts";
import { createClaims, createStamp } from "./claims.ts";
import { createExpiry, type Limits } from "./expire-limits.ts";
import { openLogEnds, readWithinMs } from "./log-ends.ts";
import { createRoom } from "./make-room.ts";
import { createPendingAnswers } from "./pending-answers.ts";
import { createRolloutTable } from "./rollout-table.ts";

/** The pure fold of a request; processors/ owns it and track-rollouts publishes with it. */
type Decide = (
  rollout: RolloutChanged | undefined,
  request: Request,
  at: Place,
) => {
  /** The rollout afterwards; undefined when there is none (any more). */
  readonly rollout: RolloutChanged | undefined;
  readonly verdict: Verdict;
};

/** What processors/ says of a rollout's life; every gateway and track-rollouts fold with the same. */
export type Lifecycle = Limits & { readonly decide: Decide };

/**
 * Whoever derives more from the same log: told of each request with what became of it, and of the
 * facts a fold starts from. `before` and `after` are the same object when nothing changed; the time
 * is the request's own in the log, ms.
 */
export type Observer = {
  decided(
    before: RolloutChanged | undefined,
    request: Request,
    verdict: Verdict,
    after: RolloutChanged | undefined,
    timestamp: number,
  ): void;
  started(rollout: RolloutChanged): void;
  /** Told of what one claim through this gateway took, in the order of the queue. */
  taken?(rollouts: readonly RolloutChanged[]): void;
};

export type RequestFoldOptions = {
  readonly observer?: Observer;
  /** Finished rollouts that stay in memory. */
  readonly mostFinished?: number;
  /** How long a read waits for the fold, ms. */
  readonly deadlineMs?: number;
};

const requestTypes = new Set<string>(topics.requests.records);

/** The port, and what other folds of the gateway ask of this one. */
export type RequestFold = Rollouts & {
  /**
   * Of the rollouts that were forgotten, by partition: offset of the last request that changed one.
   * Whoever finds a rollout gone looks for it in ClickHouse, which must have come so far.
   */
  readonly forgotten: ReadonlyMap<number, number>;
  close(): Promise<void>;
};

/**
 * Every gateway's view of the rollouts: starts from the facts on `rollouts`, then tails `requests`
 * behind them and folds with the same function as track-rollouts. So its start costs what is live,
 * not history, and all gateways agree without talking to each other.
 */
export async function foldRequests(
  runtime: Runtime & { readonly appender?: Appender },
  append: Append,
  lifecycle: Lifecycle,
  onError: (error: Error) => void,
  {
    observer,
    mostFinished = Number.POSITIVE_INFINITY,
    deadlineMs = readWithinMs,
  }: RequestFoldOptions = {},
): Promise<RequestFold> {
  const table = createRolloutTable((rollout) => lifecycle.limitAhead(rollout)?.at ?? null);
  const answers = createPendingAnswers();
  const finishing = new Map<string, Set<() => void>>();
  const stamp = createStamp();
  const forgotten = new Map<number, number>();
  const room = createRoom({
    most: mostFinished,
    get: table.get,
    request(rollout, now) {
      const limit = lifecycle.roomLimit(rollout);
      return limit === null ? null : lifecycle.timeOutRequest(rollout, limit, now);
    },
    submit,
  });

  function set(key: string, project: string, rollout: RolloutChanged | undefined): void {
    table.set(key, project, rollout);
    room.note(key, rollout);
    if (rollout !== undefined && isFinished(rollout.status)) {
      for (const wake of finishing.get(key) ?? []) wake();
      finishing.delete(key);
    }
  }

  function onRequest({ record, key, partition, offset, timestamp }: Tailed): void {
    if (record === null || !requestTypes.has(record.type)) return;
    const request = record as Request;
    const before = table.get(key);
    if (before !== undefined && offset <= before.request_offset) return;
    const { rollout, verdict } = lifecycle.decide(before, request, {
      partition,
      offset,
      timestamp,
    });
    const { project, request_id } = request.value;
    if (rollout !== before) set(key, project, rollout);
    if (rollout === undefined && before !== undefined) {
      forgotten.set(partition, Math.max(forgotten.get(partition) ?? -1, before.request_offset));
    }
    observer?.decided(before, request, verdict, rollout, timestamp);
    if (request.type === "ClaimRequested" && verdict.outcome === "accepted") {
      claims.won(project, request_id, key);
    }
    if (answers.has(key, request_id)) {
      answers.settle(key, request_id, { ...verdict, rollout: rollout ?? before ?? null });
    }
  }

  async function submit(requests: readonly Request[]): Promise<readonly Answer[]> {
    const verdicts = requests.map(({ value }) =>
      answers.wait(keyOf(value.project, value.rollout_id), value.request_id),
    );
    // A failed append is reported by the append itself.
    for (const verdict of verdicts) verdict.catch(() => undefined);
    await append(
      requests.map((request) => ({
        ...inOrder(request),
        topic: "requests" as const,
        key: keyOf(request.value.project, request.value.rollout_id),
      })),
    );
    return Promise.all(verdicts);
  }

  async function caughtUp(): Promise<void> {
    const deadline = Date.now() + deadlineMs;
    const behind = await ends.now();
    await Promise.all(
      tails.map(({ tail, partition }) =>
        tail.position.reached(behind.get(partition) ?? 0, deadline, `requests/${partition}`),
      ),
    );
  }

  /** An enqueue's time of asking is its place in the queue. */
  function inOrder(request: Request): Request {
    if (request.type !== "EnqueueRequested") return request;
    return { ...request, value: { ...request.value, requested_at: stamp() } };
  }

  const claims = createClaims({
    next: (project, taken) => table.queue(project)?.next(taken),
    get: table.get,
    submit,
    caughtUp,
    stamp,
    taken: (rollouts) => observer?.taken?.(rollouts),
  });

  const tails = await startTails(
    runtime,
    onRequest,
    (key, rollout) => {
      set(key, rollout.project, rollout);
      observer?.started(rollout);
    },
    onError,
  );
  const ends = openLogEnds(runtime.client, "requests", "committed");

  return {
    submit,
    get: (project, rolloutId) => table.get(keyOf(project, rolloutId)),
    list: (project) => table.list(project),
    expire: createExpiry(table, lifecycle, submit),
    caughtUp,
    claim: claims.claim,
    queued: (project) => table.queue(project)?.size ?? 0,
    async finished(project, rolloutId, deadlineMs) {
      const key = keyOf(project, rolloutId);
      const found = table.get(key);
      if (found === undefined || isFinished(found.status)) return found;
      await new Promise<void>((resolve) => {
        const wakes = finishing.get(key) ?? new Set();
        finishing.set(key, wakes);
        const timer = setTimeout(
          () => {
            wakes.delete(resolve);
            resolve();
          },
          Math.max(0, deadlineMs - Date.now()),
        );
        wakes.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      return table.get(key);
    },
    progress() {
      const behind = tails.reduce((sum, { tail }) => sum + tail.behind(), 0);
      return { ready: Number.isFinite(behind) && behind < maxBehindWhenReady, behind };
    },
    forgotten,
    close: async () => {
      await Promise.all([ends.close(), ...tails.map(({ tail }) => tail.close())]);
    },
  };
}

/** Under load a fold is always a few records behind; more than this is not caught up. */
const maxBehindWhenReady = 10_000;

async function startTails(
  runtime: Runtime & { readonly appender?: Appender },
  onRequest: (tailed: Tailed) => void,
  onFact: (key: string, rollout: RolloutChanged) => void,
  onError: (error: Error) => void,
): Promise<{ readonly partition: number; readonly tail: Tail }[]> {
  const { client, codec, appender } = runtime;
  await codec.prepare("requests", topics.requests.records);
  await codec.prepare("rollouts", topics.rollouts.records);
  const partitions = await topicOffsets(client, "requests");
  return Promise.all(
    partitions.map(async ({ partition, earliest }) => {
      const live = new Map<string, RolloutChanged>();
      let last = -1;
      const facts = tailPartition(
        client,
        codec,
        { topic: "rollouts", partition, from: 0, once: true },
        ({ key, record }) => {
          if (record?.type !== "RolloutChanged") live.delete(key);
          else {
            live.set(key, record.value);
            last = Math.max(last, record.value.request_offset);
          }
        },
        onError,
      );
      await facts.caughtUp;
      for (const [key, rollout] of live) onFact(key, rollout);
      const from = Math.max(earliest, last + 1);
      const tail = tailPartition(
        client,
        codec,
        { topic: "requests", partition, from, ...(appender && { appender }) },
        onRequest,
        onError,
      );
      await tail.caughtUp;
      return { partition, tail };
    }),
  );
}
