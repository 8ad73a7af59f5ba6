import type { ClickHouseClient } from "../../sinks/clickhouse/client.ts";
import {
  countSpansBefore,
  highestSequence,
  type SpanPlace,
  type StoredSpan,
  spanPlaces,
  spansOf,
} from "../../sinks/clickhouse/queries-spans.ts";
import { coalesce } from "./coalesce.ts";

/** The spans that the sink has written to ClickHouse. Everything throws `clickhouse-unavailable`. */
export type StoredSpans = {
  of(project: string, rolloutId: string): Promise<readonly StoredSpan[]>;
  /** The highest number of a rollout's spans; null: none has one. */
  highest(project: string, rolloutId: string): Promise<number | null>;
  places(project: string, rolloutId: string): Promise<readonly SpanPlace[]>;
  /** Spans of a project before the given offsets, by partition. */
  countBefore(project: string, ends: ReadonlyMap<number, number>): Promise<number>;
};

type Asked = { readonly project: string; readonly rolloutId: string };

/** Rows that nobody's rollout has; ClickHouse wants a number. */
const all = 4_294_967_295;

/** Point questions that come at the same time share a query, which costs little more than one. */
export function storedSpans(client: ClickHouseClient): StoredSpans {
  const ofMany = coalesce(
    ({ project }: Asked) => project,
    async (asked) => {
      const [project, rolloutIds] = idsOf(asked);
      const spans = await spansOf(client, { project, rolloutIds, limit: all });
      return sortOut(asked, spans);
    },
  );
  const placesOfMany = coalesce(
    ({ project }: Asked) => project,
    async (asked) => {
      const [project, rolloutIds] = idsOf(asked);
      return sortOut(asked, await spanPlaces(client, project, rolloutIds));
    },
  );
  return {
    of: (project, rolloutId) => ofMany({ project, rolloutId }),
    highest: (project, rolloutId) => highestSequence(client, project, rolloutId),
    places: (project, rolloutId) => placesOfMany({ project, rolloutId }),
    countBefore: (project, ends) => countSpansBefore(client, project, ends),
  };
}

function idsOf(asked: readonly Asked[]): [project: string, rolloutIds: string[]] {
  return [asked[0]?.project ?? "", [...new Set(asked.map(({ rolloutId }) => rolloutId))]];
}

/** Rows by the rollouts that were asked for, in that order. */
function sortOut<R extends { readonly rollout_id: string }>(
  asked: readonly Asked[],
  rows: readonly R[],
): R[][] {
  const found = new Map<string, R[]>(asked.map(({ rolloutId }) => [rolloutId, []]));
  for (const row of rows) found.get(row.rollout_id)?.push(row);
  return asked.map(({ rolloutId }) => found.get(rolloutId) ?? []);
}
