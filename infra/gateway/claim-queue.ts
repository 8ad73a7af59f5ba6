import { isQueued } from "../../schemas/statuses.ts";
import type { RolloutChanged } from "../../schemas/types.ts";

type Entry = { readonly queuedAt: number; readonly key: string };

/**
 * The rollouts of one project that wait, first in first out by log time. Entries whose rollout has
 * moved on are dropped when they come up, so that leaving the queue costs nothing.
 */
export type ClaimQueue = {
  /** Tells the queue of a rollout's state after a change. */
  update(key: string, rollout: RolloutChanged | undefined): void;
  /** The next waiting rollout that is not `taken`; undefined when none. */
  next(taken: ReadonlySet<string>): string | undefined;
  readonly size: number;
};

export function createClaimQueue(): ClaimQueue {
  /** Key → log time it queued since; the truth the sorted entries are checked against. */
  const waiting = new Map<string, number>();
  const entries: Entry[] = [];
  /** Entries before this index are gone. */
  let head = 0;

  function add(entry: Entry): void {
    let at = entries.length;
    entries.push(entry);
    // Almost always the last: log time grows, only partitions interleave.
    for (
      let before = entries[at - 1];
      at > head && before !== undefined;
      before = entries[at - 1]
    ) {
      if (!later(before, entry)) break;
      entries[at] = before;
      at -= 1;
    }
    entries[at] = entry;
  }

  function compact(): void {
    if (head < 1024 || head * 2 < entries.length) return;
    entries.splice(0, head);
    head = 0;
  }

  return {
    update(key, rollout) {
      if (rollout === undefined || !isQueued(rollout.status)) {
        waiting.delete(key);
        return;
      }
      if (waiting.get(key) === rollout.queued_at) return;
      waiting.set(key, rollout.queued_at);
      add({ queuedAt: rollout.queued_at, key });
    },
    next(taken) {
      for (let i = head; i < entries.length; i++) {
        const entry = entries[i];
        if (entry === undefined) break;
        const live = waiting.get(entry.key) === entry.queuedAt;
        if (!live && i === head) head += 1;
        if (live && !taken.has(entry.key)) {
          compact();
          return entry.key;
        }
      }
      compact();
      return undefined;
    },
    get size() {
      return waiting.size;
    },
  };
}

/**
 * Offsets of different partitions say nothing about each other; ids do: those of one batch, which
 * mostly shares its millisecond, ascend.
 */
function later(a: Entry, b: Entry): boolean {
  return a.queuedAt !== b.queuedAt ? a.queuedAt > b.queuedAt : a.key > b.key;
}

/** How many claims are remembered at least, to recognise one that is asked again. */
const rememberedClaims = 20_000;

/** How many are dropped at once: at a Map's start one passes over all it dropped there before. */
const droppedAtOnce = 1000;

/**
 * Which rollouts a claim won, by its request id: a client whose answer got lost asks again, here or
 * at another gateway, and gets the same ones.
 */
export type ClaimMemory = {
  /** @param requestId of the single claim: the claim's id, its place and its round. */
  note(project: string, requestId: string, key: string): void;
  of(project: string, claimId: string): readonly string[];
};

export function createClaimMemory(): ClaimMemory {
  const won = new Map<string, string[]>();
  return {
    note(project, requestId, key) {
      const id = `${project}/${requestId.split("/").slice(0, -2).join("/")}`;
      won.set(id, [...(won.get(id) ?? []), key]);
      if (won.size < rememberedClaims + droppedAtOnce) return;
      for (const oldest of won.keys()) {
        if (won.size <= rememberedClaims) return;
        won.delete(oldest);
      }
    },
    of: (project, claimId) => won.get(`${project}/${claimId}`) ?? [],
  };
}
