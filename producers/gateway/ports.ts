import type { Request, Verdict } from "../../schemas/requests.ts";
import type {
  ProjectConfigured,
  ResourcesUpdated,
  RolloutChanged,
  SpanRecorded,
} from "../../schemas/types.ts";
import type { Produced } from "../producer.ts";

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
  /** Live and recently finished rollouts of a project, in the order they were enqueued. */
  list(project: string): readonly RolloutChanged[];
  /**
   * Resolves when the fold has read everything that was in the log at the call, so that what any
   * gateway has answered is seen here. Throws `deadline-passed`.
   */
  caughtUp(): Promise<void>;
  /**
   * Asks for the limits that have passed by the wall clock and waits for the log's answer: whoever
   * reads after a limit sees it.
   *
   * @param rolloutIds only of these; of the whole project when absent.
   */
  expire(project: string, rolloutIds?: readonly string[]): Promise<void>;
  /** Whether the fold has caught up with the log, and how many records it is behind. */
  progress(): { readonly ready: boolean; readonly behind: number };
};

/** The spans of rollouts, live and past, each identity (rollout, attempt, span id) once. */
export type Spans = {
  /**
   * Appends spans; when it resolves they are durable and in every later read of any gateway.
   * Answers for each whether it was the first of its identity; a repetition changes nothing.
   */
  add(spans: readonly Produced<"SpanRecorded">[]): Promise<readonly boolean[]>;
  /**
   * All spans of a rollout as of the call, in log order. Throws `deadline-passed` when the log, or
   * ClickHouse for what is no longer in memory, was not read far enough in time.
   */
  of(project: string, rolloutId: string): Promise<readonly SpanRecorded[]>;
  /** Resolves when everything that was in the log at the call has been read. */
  caughtUp(): Promise<void>;
  /** The highest number a span of the rollout came with, of those read so far; null: none had one. */
  highest(project: string, rolloutId: string): Promise<number | null>;
  /** How many spans a project has. */
  count(project: string): Promise<number>;
};

/** Which rollouts; a null is no condition, an empty list matches nothing. */
export type RolloutQuery = {
  readonly statusIn: readonly string[] | null;
  readonly rolloutIdIn: readonly string[] | null;
  readonly rolloutIdContains: string | null;
  readonly logic: "and" | "or";
  /** A field of the reference's Rollout, validated by the route; null: in order of enqueueing. */
  readonly sortBy: string | null;
  readonly sortOrder: "asc" | "desc";
  /** Negative: all. */
  readonly limit: number;
  readonly offset: number;
};

/** A past rollout's place in the order of a query; times in µs, what has no end has the latest. */
export type PastPlace = {
  readonly rollout_id: string;
  readonly enqueued_at: number;
  readonly sort_key: number | string;
};

/** Rollouts that the fold has forgotten: finished, past their retention, in ClickHouse. */
export type History = {
  get(project: string, rolloutId: string): Promise<RolloutChanged | undefined>;
  /**
   * Where the rollouts of a page stand, and how many match.
   *
   * @param live ids of the rollouts the fold holds; they are left out here.
   */
  search(
    project: string,
    query: RolloutQuery,
    live: readonly string[],
  ): Promise<{ readonly places: readonly PastPlace[]; readonly total: number }>;
  /** Those rollouts whole, in the order of the ids. */
  rows(project: string, rolloutIds: readonly string[]): Promise<readonly RolloutChanged[]>;
  /** How many rollouts and attempts there are besides `live`. */
  count(
    project: string,
    live: readonly string[],
  ): Promise<{ readonly rollouts: number; readonly attempts: number }>;
};

/** A runner, as its claims, results and signs of life tell; times in µs since epoch. */
export type Worker = {
  readonly workerId: string;
  readonly status: "idle" | "busy" | "unknown";
  /** JSON text as sent; null when none was. */
  readonly heartbeatStats: string | null;
  readonly lastHeartbeatAt: number | null;
  readonly lastDequeueAt: number | null;
  readonly lastBusyAt: number | null;
  readonly lastIdleAt: number | null;
  readonly rolloutId: string | null;
  readonly attemptId: string | null;
};

/** The workers of a project, derived from the log. */
export type Workers = {
  get(project: string, workerId: string): Worker | undefined;
  /** In the order they were first seen. */
  list(project: string): readonly Worker[];
  /** Resolves when everything of workers that was in the log at the call has been folded. */
  caughtUp(): Promise<void>;
  /** @param stats JSON text; null leaves the stats as they are. */
  heartbeat(project: string, workerId: string, stats: string | null): Promise<Worker>;
  /** The worker asked for work; `found` whether it got some. */
  dequeued(project: string, workerId: string, found: boolean): Promise<void>;
};

/** The fold of `resources`. */
export type Resources = {
  /** Resolves when everything of resources that was in the log at the call has been folded. */
  caughtUp(): Promise<void>;
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
    settings: Pick<
      ProjectConfigured,
      "credit" | "selection" | "group_deadline_seconds" | "grace_seconds"
    >,
  ): Promise<ProjectConfigured>;
};

/** Read-only SQL for people; throws `query-refused` for what is no SELECT. */
export type Sql = (query: string, format: string) => Promise<string>;
