import type { Resources } from "../../producers/gateway/ports.ts";
import type { Append } from "../../producers/producer.ts";
import { LightningError } from "../../schemas/errors.ts";
import { keyOf, topics } from "../../schemas/topics.ts";
import type { ProjectConfigured, ResourcesUpdated } from "../../schemas/types.ts";
import { type Tailed, tailPartition } from "../fold-partition.ts";
import type { Runtime } from "../runtime.ts";
import { openLogEnds, readWithinMs } from "./log-ends.ts";

/** Settings of a project nobody configured: GRPO, which is final-reward for a rollout on its own. */
export const defaultSettings: Omit<ProjectConfigured, "project" | "updated_at"> = {
  version: 0,
  credit: { strategy: "group-relative", parameters: {}, options: {} },
  selection: "{}",
  group_deadline_seconds: 3600,
  grace_seconds: 0,
};

const readBackWithinMs = 10_000;
const attempts = 20;

/**
 * The fold of `resources`. A version is accepted when it follows the one before it; whoever loses a
 * race for a version number reads that, and writes the next one.
 */
export async function foldResources(
  runtime: Runtime,
  append: Append,
  onError: (error: Error) => void,
  { deadlineMs = readWithinMs }: { readonly deadlineMs?: number } = {},
): Promise<Resources & { close(): Promise<void> }> {
  const sets = new Map<string, ResourcesUpdated>();
  const latest = new Map<string, ResourcesUpdated>();
  const settings = new Map<string, ProjectConfigured>();
  const changed = new Set<() => void>();

  function onRecord({ record, key }: Tailed): void {
    if (record?.type === "ResourcesUpdated") {
      const { value } = record;
      if (value.version <= (sets.get(key)?.version ?? 0)) return;
      sets.set(key, value);
      latest.set(value.project, value);
    }
    if (record?.type === "ProjectConfigured") {
      const before = settings.get(record.value.project)?.version ?? 0;
      if (record.value.version > before) settings.set(record.value.project, record.value);
    }
    for (const wake of changed) wake();
  }

  /** Waits until `seen` says yes after a record was folded. */
  async function readBack(seen: () => boolean, what: string): Promise<void> {
    if (seen()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        changed.delete(check);
        reject(
          new LightningError(
            "deadline-passed",
            `${what} was not read back within ${readBackWithinMs} ms`,
          ),
        );
      }, readBackWithinMs);
      const check = (): void => {
        if (!seen()) return;
        clearTimeout(timer);
        changed.delete(check);
        resolve();
      };
      changed.add(check);
    });
  }

  await runtime.codec.prepare("resources", topics.resources.records);
  const tail = tailPartition(
    runtime.client,
    runtime.codec,
    { topic: "resources", partition: 0, from: 0 },
    onRecord,
    onError,
  );
  await tail.caughtUp;

  async function publish(
    project: string,
    resourcesId: string,
    resources: ResourcesUpdated["resources"],
    requestId: string,
  ): Promise<ResourcesUpdated> {
    const key = keyOf(project, resourcesId);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const before = sets.get(key);
      if (before !== undefined && before.request_id === requestId) return before;
      const now = Date.now() * 1000;
      const value: ResourcesUpdated = {
        project,
        resources_id: resourcesId,
        version: (before?.version ?? 0) + 1,
        created_at: before?.created_at ?? now,
        updated_at: now,
        resources,
        batch_id: null,
        request_id: requestId,
      };
      await append([{ topic: "resources", key, type: "ResourcesUpdated", value }]);
      await readBack(
        () => (sets.get(key)?.version ?? 0) >= value.version,
        `version ${value.version} of ${resourcesId}`,
      );
      if (sets.get(key)?.request_id === requestId) return value;
    }
    throw new LightningError(
      "conflict",
      `resource set ${resourcesId} changed ${attempts} times while being written`,
    );
  }

  function settingsOf(project: string): ProjectConfigured {
    return settings.get(project) ?? { ...defaultSettings, project, updated_at: 0 };
  }

  const ends = openLogEnds(runtime.client, "resources", "committed");
  return {
    async caughtUp() {
      const deadline = Date.now() + deadlineMs;
      const behind = await ends.now();
      await tail.position.reached(behind.get(0) ?? 0, deadline, "resources/0");
    },
    latest: (project) => latest.get(project),
    get: (project, resourcesId) => sets.get(keyOf(project, resourcesId)),
    list: (project) => [...sets.values()].filter((set) => set.project === project),
    publish,
    settings: settingsOf,
    async configure(project, wanted) {
      const version = settingsOf(project).version + 1;
      const value: ProjectConfigured = {
        ...wanted,
        project,
        version,
        updated_at: Date.now() * 1000,
      };
      const key = keyOf(project, "\u0000settings");
      await append([{ topic: "resources", key, type: "ProjectConfigured", value }]);
      await readBack(() => settingsOf(project).version >= version, `settings of ${project}`);
      return settingsOf(project);
    },
    close: async () => {
      await Promise.all([ends.close(), tail.close()]);
    },
  };
}
