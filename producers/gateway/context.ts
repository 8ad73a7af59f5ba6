import type { Append } from "../producer.ts";
import type { BodyLimits } from "./bodies.ts";
import type { Choices } from "./choices.ts";
import type { Heartbeat } from "./heartbeats.ts";
import type { KeepSpans } from "./keep-spans.ts";
import type { Metrics } from "./metrics.ts";
import type { History, Resources, Rollouts, Spans, Sql, Workers } from "./ports.ts";
import type { ProxySettings } from "./proxy/settings.ts";
import type { Sequences } from "./store/sequences.ts";
import type { StoreSettings } from "./store/settings.ts";

/** What every route of the gateway works with. */
export type Gateway = {
  readonly append: Append;
  readonly rollouts: Rollouts;
  readonly spans: Spans;
  readonly history: History;
  readonly workers: Workers;
  readonly resources: Resources;
  readonly sql: Sql;
  readonly metrics: Metrics;
  readonly heartbeat: Heartbeat;
  readonly keep: KeepSpans;
  readonly sequences: Sequences;
  /** ms since epoch. */
  readonly now: () => number;
  readonly choices: Choices;
  /** Address clients reach this gateway at, without a trailing slash; null: as they said in Host. */
  readonly publicUrl: string | null;
  readonly bodyLimits: BodyLimits;
  readonly proxy: ProxySettings;
  readonly store: StoreSettings;
};
