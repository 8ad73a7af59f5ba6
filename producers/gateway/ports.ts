import type { Request, Verdict } from "../../schemas/requests.ts";
import type { ProjectConfigured, ResourcesUpdated, RolloutChanged } from "../../schemas/types.ts";

/** What the log made of a request, and the rollout afterwards; null when it is unknown. */
export type Answer = Verdict & { readonly rollout: RolloutChanged | null };

/**
 * The fold of `requests` that every gateway keeps. Throws `kafka-unavailable` or `deadline-passed`
 * when a request could not be written or read back in time.
 */
export type Rollouts = {
  /** Appends the requests and waits until the fold has read them back; verdicts in order. */
  submit(requests: readonly Request[]): Promise<readonly Answer[]>;
  /** A live (or recently finished) rollout. */
  get(project: string, rolloutId: string): RolloutChanged | undefined;
  /** Claims up to `limit` rollouts of a project in FIFO order; each goes to one caller only. */
  claim(
    project: string,
    options: {
      readonly workerId: string | null;
      readonly limit: number;
      readonly requestId: string;
    },
  ): Promise<readonly RolloutChanged[]>;
  /** How many wait in the queue of a project. */
  queued(project: string): number;
  /** Resolves with the rollout once it has finished, or with its state at the deadline (ms since epoch). */
  finished(
    project: string,
    rolloutId: string,
    deadlineMs: number,
  ): Promise<RolloutChanged | undefined>;
  /** Whether the fold has caught up with the log, and how many records it is behind. */
  progress(): { readonly ready: boolean; readonly behind: number };
};

/** The fold of `resources`. */
export type Resources = {
  latest(project: string): ResourcesUpdated | undefined;
  get(project: string, resourcesId: string): ResourcesUpdated | undefined;
  list(project: string): readonly ResourcesUpdated[];
  /** Writes the next version of a set and waits until the fold has read it. */
  publish(
    project: string,
    resourcesId: string,
    resources: ResourcesUpdated["resources"],
    requestId: string,
  ): Promise<ResourcesUpdated>;
  /** Settings in force; the defaults when the project was never configured. */
  settings(project: string): ProjectConfigured;
  configure(
    project: string,
    settings: Pick<ProjectConfigured, "credit" | "group_deadline_seconds" | "grace_seconds">,
  ): Promise<ProjectConfigured>;
};

/** Read-only SQL for people; throws `query-refused` for what is no SELECT. */
export type Sql = (query: string, format: string) => Promise<string>;
