/** What a model saw, what it answered, and what that was worth: the reference's `Triplet`. */
export type Triplet = {
  readonly prompt: TripletPrompt;
  readonly response: TripletResponse;
  readonly reward: number | null;
  readonly metadata: TripletMetadata;
};

export type TripletPrompt = {
  readonly token_ids: readonly number[];
  /** Messages as the span has them: a list, an object where names stand beside the indexes, or null. */
  readonly raw_content: unknown;
  /** Addresses of the images in the messages, in order. */
  readonly image_urls: readonly unknown[];
};

export type TripletResponse = {
  readonly token_ids: readonly number[];
  readonly raw_content: unknown;
  /** `{token, logprob, bytes, top_logprobs}` per token; only where the span has them as text. */
  readonly logprobs?: unknown;
};

export type TripletMetadata = {
  readonly request: unknown;
  readonly response: unknown;
  readonly response_id: string | null;
  /** Nearest agent above the call; `*` when every agent was asked for and there is none. */
  readonly agent_name: string;
  /** Policy the agent's calls train; only where the config routes agents to policies. */
  readonly policy?: string;
};
