import { keyOf } from "../schemas/topics.ts";
import type { ResourcesUpdated } from "../schemas/types.ts";
import type { Effect } from "../sinks/trainer/ledger.ts";
import { tailPartition } from "./fold-partition.ts";
import type { Runtime } from "./runtime.ts";

export type ResourceVersions = {
  get(project: string, resourcesId: string): ResourcesUpdated | undefined;
  policy(project: string): { resourcesId: string; version: number } | null;
  /** Counts the versions of a commit handed in; call what it returns when the commit failed. */
  announce(effect: Effect): () => void;
  close(): Promise<void>;
};

/** The versions of resource sets: those in the log, and those in commits on their way there. */
export async function followResources(
  runtime: Runtime,
  notify: () => void,
): Promise<ResourceVersions> {
  const sets = new Map<string, ResourcesUpdated>();
  const announced = new Map<string, ResourcesUpdated>();
  const newest = new Map<string, ResourcesUpdated>();
  const tail = tailPartition(
    runtime.client,
    runtime.codec,
    { topic: "resources", partition: 0, from: 0 },
    ({ key, record: r }) => {
      if (r?.type !== "ResourcesUpdated" || r.value.version <= (sets.get(key)?.version ?? 0))
        return;
      sets.set(key, r.value);
      newest.set(r.value.project, r.value);
      if ((announced.get(key)?.version ?? 0) <= r.value.version) announced.delete(key);
      notify();
    },
    (error) => runtime.logger.error({ err: error }, "following resources failed"),
  );
  await tail.caughtUp;
  return {
    get: (project, resourcesId) => {
      const key = keyOf(project, resourcesId);
      return announced.get(key) ?? sets.get(key);
    },
    policy: (project) => {
      const set = newest.get(project);
      return set === undefined ? null : { resourcesId: set.resources_id, version: set.version };
    },
    announce(effect) {
      const keys = effect.records.flatMap((r) => {
        if (r.type !== "ResourcesUpdated") return [];
        announced.set(r.key, r.value);
        return [r.key];
      });
      return () => {
        for (const key of keys) announced.delete(key);
      };
    },
    close: () => tail.close(),
  };
}
