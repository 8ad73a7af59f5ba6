import { AsyncLocalStorage } from "node:async_hooks";
import { type Context, context, createContextKey, type Tracer, trace } from "@opentelemetry/api";
import { LightningError } from "../../schemas/errors.ts";
import { isProjectName } from "../../schemas/topics.ts";

/** The attempt that spans belong to. */
export type Attempt = {
  readonly project: string;
  readonly rolloutId: string;
  readonly attemptId: string;
};

/** What emitters need from the client that opened the attempt. */
export type Emitting = {
  readonly tracer: Tracer;
  /** Resolves when the span buffer has room; at once unless it is full and `whenFull` is `block`. */
  room(): Promise<void>;
};

export type Scope = { readonly attempt: Attempt; readonly emitting: Emitting | undefined };

const storage = new AsyncLocalStorage<Scope>();
const scopeKey = createContextKey("lightning.attempt");

/**
 * Runs `fn` as part of an attempt: every span started inside it, however many awaits, timers and
 * promises later, carries the attempt's ids. The innermost attempt wins.
 *
 * @example
 * await withAttempt({ rolloutId: "ro-1", attemptId: "at-1" }, () => agent(task));
 *
 * Throws `request-invalid` for an empty id or an impossible project name.
 */
export function withAttempt<T>(
  ids: { readonly project?: string; readonly rolloutId: string; readonly attemptId: string },
  fn: () => T,
): T {
  return enterAttempt({ attempt: validAttempt(ids), emitting: undefined }, fn);
}

/** The attempt this code runs in, if any. */
export function currentAttempt(): Attempt | undefined {
  return currentScope()?.attempt;
}

/** {@link withAttempt} with a client whose tracer and buffer the emitters use. */
export function enterAttempt<T>(scope: Scope, fn: () => T): T {
  const outer = currentScope()?.attempt;
  let entered = context.active().setValue(scopeKey, scope);
  // A local span of another attempt, or of none, would be a parent that never arrives in this one.
  const parent = trace.getSpanContext(entered);
  if (parent?.isRemote !== true && !sameAttempt(outer, scope.attempt)) {
    entered = trace.deleteSpan(entered);
  }
  return storage.run(scope, () => context.with(entered, fn));
}

/** The scope of a span's parent context: explicit contexts win over where the code happens to run. */
export function scopeOf(parent: Context): Scope | undefined {
  return (parent.getValue(scopeKey) as Scope | undefined) ?? storage.getStore();
}

export function currentScope(): Scope | undefined {
  return scopeOf(context.active());
}

export function validAttempt(ids: {
  readonly project?: string;
  readonly rolloutId: string;
  readonly attemptId: string;
}): Attempt {
  const { project = "default", rolloutId, attemptId } = ids;
  for (const [name, value] of Object.entries({ rolloutId, attemptId })) {
    if (isId(value)) continue;
    throw new LightningError(
      "request-invalid",
      `attempt: ${name} is ${JSON.stringify(value)}, must be text of 1 to 300 characters without control characters`,
      { argument: name },
    );
  }
  if (!isProjectName(project)) {
    throw new LightningError(
      "request-invalid",
      `attempt: project is ${JSON.stringify(project)}, allowed are letters, digits, ".", "_", "-", at most 64`,
      { argument: "project" },
    );
  }
  return { project, rolloutId, attemptId };
}

/** The gateway's rule for ids, which end up in Kafka keys, URLs and SQL. */
function isId(value: unknown): boolean {
  return typeof value === "string" && /^[^\p{Cc}]{1,300}$/u.test(value);
}

function sameAttempt(a: Attempt | undefined, b: Attempt): boolean {
  return (
    a !== undefined &&
    a.project === b.project &&
    a.rolloutId === b.rolloutId &&
    a.attemptId === b.attemptId
  );
}
