import { randomUUID } from "node:crypto";
import type { Place } from "../processors/processor.ts";
import type { Answer, Rollouts } from "../producers/gateway/ports.ts";
import type { Append } from "../producers/producer.ts";
import { LightningError } from "../schemas/errors.ts";
import type { Request, Verdict } from "../schemas/requests.ts";
import { keyOf, topics } from "../schemas/topics.ts";
import type { RolloutChanged } from "../schemas/types.ts";
import { type ClaimQueue, createClaimMemory, createClaimQueue } from "./claim-queue.ts";
import { type Tail, type Tailed, tailPartition } from "./fold-partition.ts";
import { topicOffsets } from "./kafka/admin.ts";
import type { Runtime } from "./runtime.ts";

/** The pure fold of a request; processors/ owns it and track-rollouts publishes with it. */
export type Decide = (
  rollout: RolloutChanged | undefined,
  request: Request,
  at: Place,
) => {
  /** The rollout afterwards; undefined when there is none (any more). */
  readonly rollout: RolloutChanged | undefined;
  readonly verdict: Verdict;
};

type Waiter = { resolve(answer: Answer): void; reject(error: LightningError): void };

const requestTypes = new Set<string>(topics.requests.records);
const terminal = new Set(["succeeded", "failed", "cancelled"]);
const answerWithinMs = 10_000;

/**
 * Every gateway's view of the rollouts: starts from the facts on `rollouts`, then tails `requests`
 * behind them and folds with the same function as track-rollouts. So its start costs what is live,
 * not history, and all gateways agree without talking to each other.
 */
export async function foldRequests(
  runtime: Runtime,
  append: Append,
  decide: Decide,
  onError: (error: Error) => void,
): Promise<Rollouts & { close(): Promise<void> }> {
  const rollouts = new Map<string, RolloutChanged>();
  const queues = new Map<string, ClaimQueue>();
  const answers = new Map<string, Waiter[]>();
  const finishing = new Map<string, Set<() => void>>();
  /** Being claimed through this gateway: not offered twice while the log decides. */
  const claiming = new Set<string>();
  const memory = createClaimMemory();

  function queueOf(project: string): ClaimQueue {
    const queue = queues.get(project) ?? createClaimQueue();
    queues.set(project, queue);
    return queue;
  }

  function set(key: string, project: string, rollout: RolloutChanged | undefined): void {
    if (rollout === undefined) rollouts.delete(key);
    else rollouts.set(key, rollout);
    queueOf(project).update(key, rollout);
    if (rollout !== undefined && terminal.has(rollout.status)) {
      for (const wake of finishing.get(key) ?? []) wake();
      finishing.delete(key);
    }
  }

  function onRequest({ record, key, partition, offset, timestamp }: Tailed): void {
    if (record === null || !requestTypes.has(record.type)) return;
    const request = record as Request;
    const before = rollouts.get(key);
    if (before !== undefined && offset <= before.request_offset) return;
    const { rollout, verdict } = decide(before, request, { partition, offset, timestamp });
    if (rollout !== before) set(key, request.value.project, rollout);
    if (request.type === "ClaimRequested" && verdict.outcome === "accepted") {
      memory.note(request.value.project, request.value.request_id, key);
    }
    const waiting = answers.get(answerKey(key, request.value.request_id));
    if (waiting === undefined) return;
    answers.delete(answerKey(key, request.value.request_id));
    for (const waiter of waiting)
      waiter.resolve({ ...verdict, rollout: rollout ?? before ?? null });
  }

  /** Registered before the request is sent: the fold may be faster than the acknowledgement. */
  function awaitAnswer(id: string): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiter.reject(
          new LightningError(
            "deadline-passed",
            `request ${id.replace("\u0000", " ")} was not read back within ${answerWithinMs} ms; ask again with the same request id`,
          ),
        );
      }, answerWithinMs);
      const waiter: Waiter = {
        resolve: (verdict) => {
          clearTimeout(timer);
          resolve(verdict);
        },
        reject: (error) => {
          clearTimeout(timer);
          const others = (answers.get(id) ?? []).filter((w) => w !== waiter);
          if (others.length > 0) answers.set(id, others);
          else answers.delete(id);
          reject(error);
        },
      };
      answers.set(id, [...(answers.get(id) ?? []), waiter]);
    });
  }

  async function submit(requests: readonly Request[]): Promise<readonly Answer[]> {
    const verdicts = requests.map(({ value }) =>
      awaitAnswer(answerKey(keyOf(value.project, value.rollout_id), value.request_id)),
    );
    // A failed append is reported by the append itself.
    for (const verdict of verdicts) verdict.catch(() => undefined);
    await append(
      requests.map((request) => ({
        ...request,
        topic: "requests" as const,
        key: keyOf(request.value.project, request.value.rollout_id),
      })),
    );
    return Promise.all(verdicts);
  }

  /** Claims the head of the queue until one claim is won; undefined when the queue is dry. */
  async function claimOne(
    project: string,
    workerId: string | null,
    id: string,
  ): Promise<RolloutChanged | undefined> {
    for (let round = 0; ; round++) {
      const key = queueOf(project).next(claiming);
      const rollout = key === undefined ? undefined : rollouts.get(key);
      if (key === undefined || rollout === undefined) return undefined;
      claiming.add(key);
      try {
        const value = {
          project,
          rollout_id: rollout.rollout_id,
          request_id: `${id}/${round}`,
          requested_at: Date.now() * 1000,
          worker_id: workerId,
          forced: false,
        };
        const [verdict] = await submit([{ type: "ClaimRequested", value }]);
        if (verdict?.outcome === "accepted" && verdict.rollout !== null) return verdict.rollout;
      } finally {
        claiming.delete(key);
      }
    }
  }

  const tails = await startTails(
    runtime,
    onRequest,
    (key, rollout) => set(key, rollout.project, rollout),
    onError,
  );

  return {
    submit,
    get: (project, rolloutId) => rollouts.get(keyOf(project, rolloutId)),
    async claim(project, { workerId, limit, requestId }) {
      const id = requestId === "" ? randomUUID() : requestId;
      const before = memory.of(project, id).map((key) => rollouts.get(key));
      if (before.length > 0) return before.filter((rollout) => rollout !== undefined);
      const claims = Array.from({ length: limit }, (_, i) =>
        claimOne(project, workerId, `${id}/${i}`),
      );
      const claimed = await Promise.all(claims);
      return claimed.filter((rollout) => rollout !== undefined);
    },
    queued: (project) => queues.get(project)?.size ?? 0,
    async finished(project, rolloutId, deadlineMs) {
      const key = keyOf(project, rolloutId);
      const found = rollouts.get(key);
      if (found === undefined || terminal.has(found.status)) return found;
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
      return rollouts.get(key);
    },
    progress() {
      const behind = tails.reduce((sum, tail) => sum + tail.behind(), 0);
      return { ready: Number.isFinite(behind) && behind < maxBehindWhenReady, behind };
    },
    close: async () => {
      await Promise.all(tails.map((tail) => tail.close()));
    },
  };
}

/** Clients choose request ids: the same one may be under way for two rollouts. */
function answerKey(key: string, requestId: string): string {
  return `${key}\u0000${requestId}`;
}

/** Under load a fold is always a few records behind; more than this is not caught up. */
const maxBehindWhenReady = 10_000;

async function startTails(
  runtime: Runtime,
  onRequest: (tailed: Tailed) => void,
  onFact: (key: string, rollout: RolloutChanged) => void,
  onError: (error: Error) => void,
): Promise<Tail[]> {
  const { client, codec } = runtime;
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
        { topic: "requests", partition, from },
        onRequest,
        onError,
      );
      await tail.caughtUp;
      return tail;
    }),
  );
}
