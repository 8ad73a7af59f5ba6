/** What an operator says about the store API. */
export type StoreSettings = {
  /** A claim followed by nothing for this long goes back to the queue; null: never. */
  readonly claimSeconds: number | null;
  /** How long a finished rollout stays in memory before only ClickHouse has it. */
  readonly retentionSeconds: number;
  /** A bare attempt update moves a cancelled rollout, as in the reference. */
  readonly strict: boolean;
  /** Origins browsers may ask from; `*` is any, none turns CORS off. */
  readonly corsOrigins: readonly string[];
};

export const defaultStoreSettings: StoreSettings = {
  claimSeconds: 600,
  retentionSeconds: 3600,
  strict: false,
  corsOrigins: [],
};
