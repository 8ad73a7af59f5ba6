/**
 * What a reader does about an error. Every code has exactly one reaction; the compiler checks that
 * none is forgotten (see {@link reactions}).
 *
 * - `dead-letter`: this record can never succeed: keep its bytes, reason and offset, and go on.
 * - `retry`: the world is down: pause the partition, back off, same batch again.
 * - `rejoin`: another instance owns this partition: drop the state, no alarm.
 * - `restore`: local state may contradict the log: throw producer and state away, take over again.
 * - `refuse`: whoever asked must change the question: a 4xx, nothing stored.
 * - `exit`: bad configuration: say which variable, what was read, what is allowed.
 */
export type Reaction = "dead-letter" | "retry" | "rejoin" | "restore" | "refuse" | "exit";

/** The reaction and, for those that reach a client, the HTTP status of every error code. */
export const reactions = {
  "record-malformed": { reaction: "dead-letter", status: 422 },
  "record-invalid": { reaction: "dead-letter", status: 422 },
  "schema-unknown": { reaction: "dead-letter", status: 422 },
  "row-refused": { reaction: "dead-letter", status: 422 },
  "kafka-unavailable": { reaction: "retry", status: 503 },
  "clickhouse-unavailable": { reaction: "retry", status: 503 },
  "registry-unavailable": { reaction: "retry", status: 503 },
  "engine-unavailable": { reaction: "retry", status: 502 },
  "gateway-unavailable": { reaction: "retry", status: 502 },
  "deadline-passed": { reaction: "retry", status: 504 },
  overloaded: { reaction: "retry", status: 503 },
  fenced: { reaction: "rejoin", status: 409 },
  "partition-lost": { reaction: "rejoin", status: 409 },
  "commit-indefinite": { reaction: "restore", status: 503 },
  "offset-unexpected": { reaction: "restore", status: 503 },
  "data-lost": { reaction: "exit", status: 500 },
  "request-invalid": { reaction: "refuse", status: 400 },
  unauthorised: { reaction: "refuse", status: 401 },
  "not-found": { reaction: "refuse", status: 404 },
  conflict: { reaction: "refuse", status: 409 },
  "too-large": { reaction: "refuse", status: 413 },
  "media-type-unsupported": { reaction: "refuse", status: 415 },
  "query-refused": { reaction: "refuse", status: 400 },
  "config-invalid": { reaction: "exit", status: 500 },
  "schema-incompatible": { reaction: "exit", status: 409 },
  "topic-mismatch": { reaction: "exit", status: 500 },
  "port-in-use": { reaction: "exit", status: 500 },
  "data-folder-incompatible": { reaction: "exit", status: 500 },
  "data-folder-locked": { reaction: "exit", status: 500 },
  "embedded-start-failed": { reaction: "exit", status: 500 },
  "set-up-failed": { reaction: "exit", status: 500 },
} as const satisfies Record<string, { reaction: Reaction; status: number }>;

export type ErrorCode = keyof typeof reactions;

/** The one error class: a code that decides the reaction, a message for people, facts as fields. */
export class LightningError extends Error {
  readonly code: ErrorCode;
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    { cause, ...fields }: { cause?: unknown } & Record<string, unknown> = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "LightningError";
    this.code = code;
    this.fields = fields;
  }

  get reaction(): Reaction {
    return reactions[this.code].reaction;
  }

  /** HTTP status this error has when it reaches a client. */
  get status(): number {
    return reactions[this.code].status;
  }
}

/** The error's code, or undefined for what is a bug: anything thrown without one. */
export function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof LightningError ? error.code : undefined;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
