import type { ResourcesUpdated } from "../../schemas/types.ts";
import type { Effect, Ledger } from "./ledger.ts";

/**
 * What the trainer's HTTP side needs of the runtime. The runtime feeds records into the ledgers
 * (groups.ts), and may itself call `expire` and `take` and commit what they give.
 */
export type TrainerPort = {
  /** Ledgers of the partitions this process owns and has restored; another after a take-over. */
  partitions(): readonly Ledger[];
  /**
   * Writes records, changelog rows and the offset of a ledger in one transaction. Commits of one
   * ledger happen in the order of the calls; each resolves once it and all before it are durable,
   * also when it is empty (it then only waits). After one has failed every later one of the same
   * ledger fails too, and the ledger leaves {@link partitions}. Throws LightningError: `fenced`,
   * `partition-lost`, `commit-indefinite`, `kafka-unavailable`.
   */
  commit(ledger: Ledger, effect: Effect): Promise<void>;
  /**
   * Newest version of a resource set, counting those in commits already handed in, so that two
   * acknowledgements never make the same version.
   */
  resources(project: string, resourcesId: string): ResourcesUpdated | undefined;
  /** The set that was updated last in a project, which agents are sampling from; null at first. */
  policy(project: string): { readonly resourcesId: string; readonly version: number } | null;
  /** Calls back after records were fed or partitions came; returns how to stop that. */
  subscribe(listener: () => void): () => void;
};
