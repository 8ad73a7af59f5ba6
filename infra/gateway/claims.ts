import { randomUUID } from "node:crypto";
import type { Answer, Rollouts } from "../../producers/gateway/ports.ts";
import type { Request } from "../../schemas/requests.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { createClaimMemory } from "./claim-queue.ts";

/** What claims ask of the fold of `requests`. */
export type ClaimSource = {
  /** The longest waiting rollout of a project that is not `taken`; undefined when none. */
  next(project: string, taken: ReadonlySet<string>): string | undefined;
  get(key: string): RolloutChanged | undefined;
  submit(requests: readonly Request[]): Promise<readonly Answer[]>;
  /** Resolves when everything that is in the log has been folded. */
  caughtUp(): Promise<void>;
  /** µs since epoch, never the same twice. */
  stamp(): number;
  /** Told of what one claim took, in the order of the queue. */
  taken?(rollouts: readonly RolloutChanged[]): void;
};

export type Claims = {
  readonly claim: Rollouts["claim"];
  /** Told of every claim that the log accepted, whichever gateway asked for it. */
  won(project: string, requestId: string, key: string): void;
};

/** Somebody who wants one rollout. */
type Slot = {
  readonly workerId: string | null;
  readonly id: string;
  round: number;
  /** Whether the log was read to its end since it asked: then an empty queue is empty. */
  waited: boolean;
  resolve(rollout: RolloutChanged | undefined): void;
  reject(error: unknown): void;
};

/**
 * Takes rollouts from the head of the queue. Which one is the head every gateway knows for itself, so
 * two may ask for the same one; the log gives it to the first, and the other asks for the next. Who
 * lost is served before those who came later, and all who wait at one time share one append.
 */
export function createClaims(source: ClaimSource): Claims {
  /** Being claimed through this gateway: not offered twice while the log decides. */
  const claiming = new Set<string>();
  const waiting = new Map<string, Slot[]>();
  const memory = createClaimMemory();

  function enter(project: string, slots: readonly Slot[], first: boolean): void {
    const others = waiting.get(project);
    if (others === undefined) {
      waiting.set(project, [...slots]);
      // Whoever asks in this turn of the event loop shares the append.
      setImmediate(() => void serve(project));
    } else if (first) others.unshift(...slots);
    else others.push(...slots);
  }

  async function serve(project: string): Promise<void> {
    const slots = waiting.get(project) ?? [];
    waiting.delete(project);
    const asked: { readonly slot: Slot; readonly key: string; readonly request: Request }[] = [];
    const early: Slot[] = [];
    for (const slot of slots) {
      const key = source.next(project, claiming);
      const rollout = key === undefined ? undefined : source.get(key);
      if (key === undefined || rollout === undefined) {
        if (slot.waited) slot.resolve(undefined);
        else early.push(slot);
        continue;
      }
      claiming.add(key);
      asked.push({ slot, key, request: requestOf(project, rollout.rollout_id, slot) });
    }
    if (early.length > 0) void serveWhenCaughtUp(project, early);
    if (asked.length === 0) return;
    try {
      const answers = await source.submit(asked.map(({ request }) => request));
      const lost: Slot[] = [];
      for (const [i, { slot }] of asked.entries()) {
        const answer = answers[i];
        if (answer?.outcome === "accepted" && answer.rollout !== null) slot.resolve(answer.rollout);
        else lost.push({ ...slot, round: slot.round + 1 });
      }
      if (lost.length > 0) enter(project, lost, true);
    } catch (error) {
      for (const { slot } of asked) slot.reject(error);
    } finally {
      for (const { key } of asked) claiming.delete(key);
    }
  }

  /** What was enqueued at another gateway may not have been read here yet. */
  async function serveWhenCaughtUp(project: string, slots: readonly Slot[]): Promise<void> {
    try {
      await source.caughtUp();
      const waited = slots.map((slot) => ({ ...slot, waited: true }));
      enter(project, waited, true);
    } catch (error) {
      for (const slot of slots) slot.reject(error);
    }
  }

  function requestOf(project: string, rolloutId: string, slot: Slot): Request {
    const value = {
      project,
      rollout_id: rolloutId,
      request_id: `${slot.id}/${slot.round}`,
      requested_at: source.stamp(),
      worker_id: slot.workerId,
      forced: false,
    };
    return { type: "ClaimRequested", value };
  }

  return {
    async claim(project, { workerId, limit, requestId }) {
      const id = requestId === "" ? randomUUID() : requestId;
      const before = memory.of(project, id).map((key) => source.get(key));
      if (before.length > 0) return before.filter((rollout) => rollout !== undefined);
      const claims = Array.from(
        { length: limit },
        (_, i) =>
          new Promise<RolloutChanged | undefined>((resolve, reject) => {
            enter(
              project,
              [{ workerId, id: `${id}/${i}`, round: 0, waited: false, resolve, reject }],
              false,
            );
          }),
      );
      const claimed = (await Promise.all(claims)).filter((rollout) => rollout !== undefined);
      claimed.sort((a, b) => a.queued_at - b.queued_at);
      source.taken?.(claimed);
      return claimed;
    },
    won: memory.note,
  };
}

/**
 * Times of this process that grow with every call, µs: what is asked for one after the other stands
 * so in the queue, also within a millisecond.
 */
export function createStamp(now: () => number = Date.now): () => number {
  let last = 0;
  return () => {
    last = Math.max(last + 1, now() * 1000);
    return last;
  };
}
