import type { Span as ApiSpan, Context } from "@opentelemetry/api";
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import { keyOf } from "../../schemas/topics.ts";
import { type Attempt, scopeOf } from "./attempt.ts";
import { keys } from "./names.ts";
import { isSampled, nextSequenceId, noteEnd } from "./sequence.ts";

/** The attempt a span belongs to and its number there. */
export type Stamp = { readonly attempt: Attempt; readonly sequenceId: number | null };

/** Stamps by span: a provider's attribute limit may have left no room for them on the span itself. */
const stamps = new WeakMap<object, Stamp>();

/**
 * Stamps each span, when it starts, with the ids of the attempt it starts in and with the next
 * sequence number of the rollout. A span that names a rollout itself keeps its own.
 */
function stamp(span: ApiSpan & Pick<ReadableSpan, "attributes">, parent: Context): void {
  const attempt = scopeOf(parent)?.attempt;
  if (attempt === undefined || span.attributes[keys.rolloutId] !== undefined) return;
  const sequenceId = nextSequenceId(attempt);
  stamps.set(span, { attempt, sequenceId });
  span.setAttributes(attributesOf({ attempt, sequenceId }));
}

function attributesOf({ attempt, sequenceId }: Stamp): Record<string, string | number> {
  return {
    [keys.project]: attempt.project,
    [keys.rolloutId]: attempt.rolloutId,
    [keys.attemptId]: attempt.attemptId,
    ...(sequenceId === null ? {} : { [keys.sequenceId]: sequenceId }),
  };
}

/**
 * The stamp of a span: the one given at its start, else what its attributes say, else those of its
 * resource (a process that serves one rollout may say so there). Undefined outside of a rollout.
 */
export function stampOf(span: ReadableSpan, project: string): Stamp | undefined {
  const given = stamps.get(span);
  if (given !== undefined) return given;
  const read = (key: string): unknown => span.attributes[key] ?? span.resource.attributes[key];
  const rolloutId = read(keys.rolloutId);
  const attemptId = read(keys.attemptId);
  if (!isId(rolloutId) || !isId(attemptId)) return undefined;
  const named = read(keys.project);
  const sequence = Number(read(keys.sequenceId) ?? Number.NaN);
  return {
    attempt: { project: isId(named) ? named : project, rolloutId, attemptId },
    sequenceId: Number.isSafeInteger(sequence) && sequence >= 0 ? sequence : null,
  };
}

/** The span with its stamp among its attributes, which a limit may have kept out. */
export function withStamp(span: ReadableSpan): ReadableSpan {
  const given = stamps.get(span);
  if (given === undefined || span.attributes[keys.attemptId] !== undefined) return span;
  const attributes = { ...span.attributes, ...attributesOf(given) };
  return Object.create(span, { attributes: { value: attributes } }) as ReadableSpan;
}

/** Whose flush hears about a span. */
export function ownerOf({ project, rolloutId, attemptId }: Attempt): string {
  return `${keyOf(project, rolloutId)}/${attemptId}`;
}

/**
 * A processor that only stamps, for a tracer provider of your own: put it before the processor that
 * exports.
 *
 * @example
 * new NodeSDK({ spanProcessors: [createStampProcessor(), new BatchSpanProcessor(otlp)] }).start();
 * await withAttempt({ rolloutId, attemptId }, () => agent(task));
 */
export function createStampProcessor(): SpanProcessor {
  return {
    onStart: stamp,
    onEnd(span) {
      const given = stamps.get(span);
      if (given !== undefined) noteEnd(given.attempt, span.endTime);
    },
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  };
}

/** Where finished spans go. */
export type SpanTarget = {
  add(span: ReadableSpan, owner: string): void;
  flush(): Promise<void>;
};

export type AttemptProcessor = SpanProcessor & {
  /** Spans outside of any rollout that were left out. */
  outside(): number;
};

/** A processor that stamps spans and hands those of attempts, or all with `pass`, to the target. */
export function createAttemptProcessor(
  target: SpanTarget,
  { outside, project }: { readonly outside: "drop" | "pass"; readonly project: string },
): AttemptProcessor {
  let left = 0;
  return {
    onStart: stamp,
    onEnd(span) {
      if (!isSampled(span)) return;
      const attempt = stampOf(span, project)?.attempt;
      if (attempt !== undefined) {
        noteEnd(attempt, span.endTime);
        target.add(span, ownerOf(attempt));
      } else if (outside === "pass") target.add(span, "");
      else left++;
    },
    outside: () => left,
    forceFlush: () => target.flush(),
    shutdown: () => target.flush(),
  };
}

function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
