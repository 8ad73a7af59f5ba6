import type { Request } from "../../schemas/requests.ts";
import { isFinished } from "../../schemas/statuses.ts";
import type { RolloutChanged } from "../../schemas/types.ts";

/** How many rollouts are asked to be forgotten by one append. */
const atOnce = 500;

/** Keeps the number of finished rollouts in memory bounded. */
export type Room = {
  /** Tells of a rollout's state after a change; undefined: it is gone. */
  note(key: string, rollout: RolloutChanged | undefined): void;
};

export type RoomOptions = {
  /** Finished rollouts that may stay. */
  readonly most: number;
  get(key: string): RolloutChanged | undefined;
  /** The request that asks for one to be forgotten; null: it is not finished. `now` in µs. */
  request(rollout: RolloutChanged, now: number): Request | null;
  submit(requests: readonly Request[]): Promise<unknown>;
};

/**
 * When more rollouts are finished than may stay, the log is asked to let the oldest go before their
 * retention has passed, so that every gateway and track-rollouts forget the same ones. The bound is
 * held but for what finishes while the log answers.
 */
export function createRoom({ most, get, request, submit }: RoomOptions): Room {
  /** In the order they finished. */
  const finished = new Set<string>();
  let asking = false;

  async function ask(): Promise<void> {
    const now = Date.now() * 1000;
    const requests: Request[] = [];
    for (const key of finished) {
      if (finished.size - requests.length <= most || requests.length === atOnce) break;
      const rollout = get(key);
      const wanted = rollout === undefined ? null : request(rollout, now);
      if (wanted === null) finished.delete(key);
      else requests.push(wanted);
    }
    if (requests.length > 0) await submit(requests);
  }

  async function askOn(): Promise<void> {
    asking = true;
    try {
      while (finished.size > most) await ask();
    } catch {
      // The log is away, which appending reports; the next that finishes asks again.
    } finally {
      asking = false;
    }
  }

  return {
    note(key, rollout) {
      if (rollout === undefined || !isFinished(rollout.status)) finished.delete(key);
      else finished.add(key);
      if (finished.size > most && !asking) void askOn();
    },
  };
}
