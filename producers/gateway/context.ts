import type { Append } from "../producer.ts";
import type { BodyLimits } from "./bodies.ts";
import type { Heartbeat } from "./heartbeats.ts";
import type { Metrics } from "./metrics.ts";
import type { Resources, Rollouts, Sql } from "./ports.ts";
import type { ProxySettings } from "./proxy/settings.ts";

/** What every route of the gateway works with. */
export type Gateway = {
  readonly append: Append;
  readonly rollouts: Rollouts;
  readonly resources: Resources;
  readonly sql: Sql;
  readonly metrics: Metrics;
  readonly heartbeat: Heartbeat;
  /** ms since epoch. */
  readonly now: () => number;
  /** Names of the credit strategies a project may choose. */
  readonly strategies: readonly string[];
  /** Address clients reach this gateway at, without a trailing slash; null: as they said in Host. */
  readonly publicUrl: string | null;
  readonly bodyLimits: BodyLimits;
  readonly proxy: ProxySettings;
};
