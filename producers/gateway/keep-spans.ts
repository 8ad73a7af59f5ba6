import type { SpanRecorded } from "../../schemas/types.ts";
import type { Append, Produced } from "../producer.ts";
import type { Heartbeats } from "./heartbeats.ts";
import type { Rollouts, Spans } from "./ports.ts";
import type { Sequences } from "./store/sequences.ts";

type Span = Produced<"SpanRecorded">;

/** Takes spans into the log, with all that a new span does to its rollout. */
export type KeepSpans = {
  /** One span with a number of its own; whether it was the first of its identity. */
  one(span: Span): Promise<boolean>;
  /** Spans of one project; those without a number get one. */
  many(project: string, spans: readonly Span[]): Promise<void>;
};

type Ports = {
  readonly append: Append;
  readonly rollouts: Rollouts;
  readonly spans: Spans;
  readonly sequences: Sequences;
  readonly heartbeats: Heartbeats;
};

/**
 * A sign of life that changes a status is in the log before the answer goes out, so that the next
 * read sees it; a repeated span must give none. Whether a span is new is only known once it was read
 * back, which costs a round trip: an attempt that has had no sign of life yet has had no span, so
 * there it is known before, and where no status changes it does not matter.
 */
export function createKeepSpans(ports: Ports): KeepSpans {
  const { append, rollouts, spans, sequences, heartbeats } = ports;
  const effect = ({ value }: Span) =>
    heartbeats.effectOf(value.project, value.rollout_id, value.attempt_id);
  const beat = ({ value }: Span): Promise<void> =>
    heartbeats.beat(value.project, value.rollout_id, value.attempt_id);

  return {
    async one(span) {
      const does = effect(span);
      await sequences.number(span.value.project, [span.value]);
      const [[first = true]] = await Promise.all([
        spans.add([span]),
        does === "starts" ? beat(span) : null,
      ]);
      if (first && does !== "starts") await beat(span);
      return first;
    },

    async many(project, batch) {
      const attempts = [...firstOfEachAttempt(batch).values()];
      if (attempts.some((span) => effect(span) === "unknown")) await rollouts.caughtUp();
      const starting = attempts.filter((span) => effect(span) === "starts");
      const changing = attempts.filter((span) => effect(span) === "changes");
      const numbered = withNumbers(starting, batch);
      const numbering = sequences.number(project, batch.map(recordOf), numbered);
      for (const [rolloutId, attemptId] of numbered) {
        heartbeats.along(project, rolloutId, attemptId, numbering);
      }
      const begun = starting.filter((span) => !isAlive(numbered, span)).map(beat);
      // Whoever waits for the numbers below hears of a failure there.
      for (const beating of begun) beating.catch(() => undefined);
      await numbering;
      if (changing.length === 0) await Promise.all([append(batch), ...begun]);
      else {
        const [isFirst] = await Promise.all([spans.add(batch), ...begun]);
        const fresh = firstOfEachAttempt(batch.filter((_span, i) => isFirst[i] === true));
        await Promise.all(changing.flatMap((span) => fresh.get(attemptKey(span)) ?? []).map(beat));
      }
      for (const span of attempts) {
        if (effect(span) === "sign") beat(span).catch(() => undefined);
      }
    },
  };
}

/** By rollout, the starting attempt whose sign of life goes along with the request for numbers. */
function withNumbers(starting: readonly Span[], batch: readonly Span[]): Map<string, string> {
  const asking = new Set(
    batch.flatMap(({ value }) => (value.sequence_id === null ? [value.rollout_id] : [])),
  );
  const attempts = new Map<string, string>();
  for (const { value } of starting) {
    if (asking.has(value.rollout_id)) attempts.set(value.rollout_id, value.attempt_id);
  }
  return attempts;
}

function isAlive(attempts: ReadonlyMap<string, string>, { value }: Span): boolean {
  return attempts.get(value.rollout_id) === value.attempt_id;
}

function recordOf({ value }: Span): SpanRecorded {
  return value;
}

function attemptKey({ value }: Span): string {
  return `${value.rollout_id}\u0000${value.attempt_id}`;
}

function firstOfEachAttempt(spans: readonly Span[]): Map<string, Span> {
  const first = new Map<string, Span>();
  for (const span of spans) {
    const key = attemptKey(span);
    if (!first.has(key)) first.set(key, span);
  }
  return first;
}
