import { keyOf } from "../../schemas/topics.ts";
import type { ProjectConfigured, ResourcesUpdated } from "../../schemas/types.ts";
import type { Resources } from "./ports.ts";
import type { MemoryLog } from "./testing.ts";

const defaults = {
  version: 0,
  credit: { strategy: "final-reward", parameters: {}, options: {} },
  selection: "{}",
  group_deadline_seconds: 60,
  grace_seconds: 0,
  updated_at: 0,
};

/** The fold of `resources` in memory: it sees what anyone appends. */
export function memoryResources(log: MemoryLog, now: () => number): Resources {
  const sets = new Map<string, ResourcesUpdated>();
  const latest = new Map<string, ResourcesUpdated>();
  const settings = new Map<string, ProjectConfigured>();
  log.readers.push((record) => {
    if (record.type === "ResourcesUpdated") {
      sets.set(record.key, record.value);
      latest.set(record.value.project, record.value);
    } else if (record.type === "ProjectConfigured") {
      settings.set(record.value.project, record.value);
    }
  });
  const inForce = (project: string): ProjectConfigured =>
    settings.get(project) ?? { ...defaults, project };
  return {
    caughtUp: async () => undefined,
    latest: (project) => latest.get(project),
    get: (project, resourcesId) => sets.get(keyOf(project, resourcesId)),
    list: (project) => [...sets.values()].filter((set) => set.project === project),
    async publish(project, resources_id, resources, request_id) {
      const key = keyOf(project, resources_id);
      const before = sets.get(key);
      if (before?.request_id === request_id) return before;
      const version = (before?.version ?? 0) + 1;
      const at = now() * 1000;
      const times = { created_at: before?.created_at ?? at, updated_at: at };
      const ids = { project, resources_id, version, batch_id: null, request_id };
      const value: ResourcesUpdated = { ...ids, ...times, resources };
      await log.append([{ type: "ResourcesUpdated", value, topic: "resources", key }]);
      return value;
    },
    settings: inForce,
    async configure(project, wanted) {
      const version = inForce(project).version + 1;
      const value = { ...wanted, project, version, updated_at: now() * 1000 };
      const key = keyOf(project, "settings");
      await log.append([{ type: "ProjectConfigured", value, topic: "resources", key }]);
      return value;
    },
  };
}
