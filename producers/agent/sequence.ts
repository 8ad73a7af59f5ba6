import { type HrTime, TraceFlags } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { keyOf } from "../../schemas/topics.ts";
import type { Attempt } from "./attempt.ts";

/** How many rollouts a process remembers; the one used longest ago is forgotten first. */
const remembered = 10_000;

type Progress = { next: number; lastEnd: HrTime };

const rollouts = new Map<string, Progress>();

/**
 * Next number of a rollout's spans in this process, from 1. Taken when a span starts, so that a
 * parent comes before its children and equal clock readings keep their order.
 */
export function nextSequenceId(attempt: Attempt): number {
  const progress = progressOf(attempt);
  progress.next += 1;
  return progress.next - 1;
}

/** Notes the end of a span, for {@link pointTime}. */
export function noteEnd(attempt: Attempt, end: HrTime): void {
  const progress = progressOf(attempt);
  if (isBefore(progress.lastEnd, end)) progress.lastEnd = end;
}

/**
 * Now, but never before the end of a span that has ended: OpenTelemetry's JavaScript clock cuts a
 * span's start to the millisecond and adds a precise duration, so that a reward given right after a
 * call could otherwise seem to come before the call's end, and would be matched to another call.
 */
export function pointTime(attempt: Attempt | undefined): HrTime {
  const ms = Date.now();
  const now: HrTime = [Math.floor(ms / 1000), (ms % 1000) * 1_000_000];
  if (attempt === undefined) return now;
  const { lastEnd } = progressOf(attempt);
  return isBefore(now, lastEnd) ? lastEnd : now;
}

/** Whether the sampler wants the span exported. */
export function isSampled(span: ReadableSpan): boolean {
  return (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0;
}

function progressOf(attempt: Attempt): Progress {
  const key = keyOf(attempt.project, attempt.rolloutId);
  const progress = rollouts.get(key) ?? { next: 1, lastEnd: [0, 0] };
  rollouts.delete(key);
  rollouts.set(key, progress);
  if (rollouts.size > remembered) {
    for (const oldest of rollouts.keys()) {
      rollouts.delete(oldest);
      break;
    }
  }
  return progress;
}

function isBefore(a: HrTime, b: HrTime): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}
