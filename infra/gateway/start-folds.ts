import { limitAhead, roomLimit, timeOutRequest } from "../../processors/lifecycle/time-out.ts";
import { decide } from "../../processors/rollout-lifecycle.ts";
import type { GatewayOptions } from "../../producers/gateway/app.ts";
import type { ClickHouseClient } from "../../sinks/clickhouse/client.ts";
import { createAppendAt } from "../append-records.ts";
import type { Context } from "../context.ts";
import { foldRequests } from "./fold-requests.ts";
import { foldResources } from "./fold-resources.ts";
import { foldSpans } from "./fold-spans.ts";
import { foldWorkers } from "./fold-workers.ts";
import { openHistory } from "./history.ts";
import { followSinkPositions } from "./sink-positions.ts";
import { storedSpans } from "./stored-spans.ts";

/** What a gateway answers from: its ports, folded from the log. */
export type GatewayFolds = Pick<
  GatewayOptions,
  "rollouts" | "resources" | "spans" | "history" | "workers" | "progress"
> & { close(): Promise<void> };

/**
 * Starts every fold of a gateway; when it resolves, each has read what was in the log before. A fold
 * that breaks later is told to `onError`: the process cannot answer any more.
 */
export async function startGatewayFolds(
  context: Context,
  clickhouse: ClickHouseClient,
  onError: (error: Error) => void,
): Promise<GatewayFolds> {
  const { append, values } = context;
  const deadlineMs = values.LIGHTNING_QUERY_DEADLINE_SECONDS * 1000;
  const workers = await foldWorkers(context, append, onError, { deadlineMs });
  const lifecycle = { decide, limitAhead, roomLimit, timeOutRequest };
  const [rollouts, resources, positions] = await Promise.all([
    foldRequests(context, append, lifecycle, onError, {
      observer: workers,
      mostFinished: values.LIGHTNING_FINISHED_ROLLOUTS,
      deadlineMs,
    }),
    foldResources(context, append, onError, { deadlineMs }),
    followSinkPositions(context, "clickhouse", onError),
  ]);
  const [spans, history] = await Promise.all([
    foldSpans(
      context,
      createAppendAt(context.codec, context.appender),
      {
        memoryBytes: values.LIGHTNING_SPAN_MEMORY_MB * 1024 * 1024,
        deadlineMs,
        rolloutOf: rollouts.get,
        stored: storedSpans(clickhouse),
        positions,
      },
      onError,
    ),
    openHistory(context, {
      clickhouse,
      positions,
      deadlineMs,
      forgotten: rollouts.forgotten,
    }),
  ]);
  return {
    rollouts,
    resources,
    spans,
    history,
    workers,
    progress: () => ({ requests: rollouts.progress().behind, spans: spans.progress().behind }),
    close: async () => {
      await Promise.all([rollouts, resources, spans, workers, positions].map((f) => f.close()));
    },
  };
}
