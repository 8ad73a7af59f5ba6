import type { History, RolloutQuery } from "../../producers/gateway/ports.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { type RolloutChange, rolloutsById } from "../../sinks/clickhouse/queries.ts";
import {
  countRollouts,
  rolloutsInOrder,
  searchRollouts,
} from "../../sinks/clickhouse/queries-history.ts";
import type { Runtime } from "../runtime.ts";
import { coalesce } from "./coalesce.ts";
import { followPastFacts, type PastFactsOptions } from "./past-facts.ts";

export type HistoryOptions = PastFactsOptions & {
  /** How long a read may wait for the sink, ms. */
  readonly deadlineMs: number;
};

/** The rollouts that the fold has forgotten, from ClickHouse, once it has them all. */
export async function openHistory(runtime: Runtime, options: HistoryOptions): Promise<History> {
  const { clickhouse, deadlineMs } = options;
  const facts = await followPastFacts(runtime, options);
  const written = (): Promise<void> => facts.written(Date.now() + deadlineMs);
  const one = coalesce(
    ({ project }: { readonly project: string; readonly rolloutId: string }) => project,
    async (asked) => {
      const ids = [...new Set(asked.map(({ rolloutId }) => rolloutId))];
      const rows = await rolloutsById(clickhouse, asked[0]?.project ?? "", ids);
      const byId = new Map(rows.map((row) => [row.rollout_id, row]));
      return asked.map(({ rolloutId }) => byId.get(rolloutId));
    },
  );

  return {
    async get(project, rolloutId) {
      await written();
      const found = await one({ project, rolloutId });
      return found === undefined ? undefined : pastOf(found);
    },
    async search(project: string, query: RolloutQuery, live: readonly string[]) {
      await written();
      return searchRollouts(clickhouse, { ...query, project, except: live });
    },
    async rows(project, rolloutIds) {
      return (await rolloutsInOrder(clickhouse, project, rolloutIds)).map(pastOf);
    },
    async count(project, live) {
      await written();
      return countRollouts(clickhouse, project, live);
    },
  };
}

/** With what only the fold of a live rollout needs: nothing can be asked of this one any more. */
function pastOf(change: RolloutChange): RolloutChanged {
  const { kafka_partition: _partition, kafka_offset: _offset, ...rollout } = change;
  return {
    ...rollout,
    keeps_place: false,
    recent_requests: [],
    recent_sequences: [],
    marked_attempts: rollout.attempts.length,
  };
}
