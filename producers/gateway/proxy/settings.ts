/** How the proxy calls engines. */
export type ProxySettings = {
  /** Ask for token ids unless the resource says `return_token_ids: false`. */
  readonly returnTokenIds: boolean;
  /** Ask for log-probs unless the resource says `logprobs: false`. */
  readonly logprobs: boolean;
  /** Longest time for one call, all tries and waits included, ms. */
  readonly deadlineMs: number;
  /** Tries in all. */
  readonly tries: number;
  /** Wait before the second try, ms; doubles from try to try, up to 8 s. */
  readonly firstWaitMs: number;
  /** How long a claim made through another gateway may take to be folded here, ms. */
  readonly foldLagMs: number;
  /** How the engine is reached. */
  readonly fetch: typeof fetch;
};

export const defaultProxySettings: ProxySettings = {
  returnTokenIds: true,
  logprobs: true,
  deadlineMs: 300_000,
  tries: 6,
  firstWaitMs: 500,
  foldLagMs: 1000,
  fetch: (input, init) => fetch(input, init),
};
