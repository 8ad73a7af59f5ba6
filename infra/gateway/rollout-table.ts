import { keyOf } from "../../schemas/topics.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { type ClaimQueue, createClaimQueue } from "./claim-queue.ts";
import { createDeadlineQueue, type DeadlineQueue } from "./deadline-queue.ts";

/** The rollouts a fold holds, and the orders in which they are asked for. */
export type RolloutTable = {
  /** @param key project/rollout id. */
  get(key: string): RolloutChanged | undefined;
  set(key: string, project: string, rollout: RolloutChanged | undefined): void;
  /** In the order they were enqueued; at the same time by id, so that all gateways say the same. */
  list(project: string): readonly RolloutChanged[];
  /** Those with a limit before `now` (µs), the earliest first. */
  due(project: string, now: number): readonly RolloutChanged[];
  /** Those that wait to be claimed. */
  queue(project: string): ClaimQueue | undefined;
};

type Project = {
  readonly rollouts: Map<string, RolloutChanged>;
  readonly queue: ClaimQueue;
  readonly deadlines: DeadlineQueue;
  /** Keys in the order of enqueueing; null when a rollout came or went since. */
  order: string[] | null;
};

/** @param limitOf µs since epoch at which the rollout runs into a limit; null: none does. */
export function createRolloutTable(
  limitOf: (rollout: RolloutChanged) => number | null,
): RolloutTable {
  const projects = new Map<string, Project>();

  function projectOf(name: string): Project {
    const found = projects.get(name);
    if (found !== undefined) return found;
    const rollouts = new Map<string, RolloutChanged>();
    const deadlineOf = (key: string): number | null => {
      const rollout = rollouts.get(key);
      return rollout === undefined ? null : limitOf(rollout);
    };
    const deadlines = createDeadlineQueue(deadlineOf);
    const made: Project = { rollouts, queue: createClaimQueue(), deadlines, order: null };
    projects.set(name, made);
    return made;
  }

  return {
    get(key) {
      const slash = key.indexOf("/");
      return projects.get(key.slice(0, slash))?.rollouts.get(key);
    },
    set(key, project, rollout) {
      const { rollouts, queue, deadlines } = projectOf(project);
      queue.update(key, rollout);
      if (rollout === undefined) {
        if (rollouts.delete(key)) projectOf(project).order = null;
        return;
      }
      if (!rollouts.has(key)) projectOf(project).order = null;
      rollouts.set(key, rollout);
      deadlines.note(key, limitOf(rollout));
    },
    list(project) {
      const found = projects.get(project);
      if (found === undefined) return [];
      found.order ??= inOrder(found.rollouts.values());
      return found.order.flatMap((key) => found.rollouts.get(key) ?? []);
    },
    due(project, now) {
      const found = projects.get(project);
      if (found === undefined) return [];
      return found.deadlines.due(now).flatMap((key) => found.rollouts.get(key) ?? []);
    },
    queue: (project) => projects.get(project)?.queue,
  };
}

/** The values come nearly in order, which the sort is made for. */
function inOrder(rollouts: Iterable<RolloutChanged>): string[] {
  return [...rollouts]
    .sort((a, b) => a.enqueued_at - b.enqueued_at || (a.rollout_id < b.rollout_id ? -1 : 1))
    .map(({ project, rollout_id }) => keyOf(project, rollout_id));
}
