import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { keyOf } from "../../schemas/topics.ts";
import type { Append, Produced } from "../producer.ts";
import { type Exporter, noneRefused } from "./exporter.ts";
import { recordOf } from "./span-record.ts";
import { type Stamp, stampOf } from "./stamp.ts";

/**
 * Exporter that writes spans straight to the `spans` topic, without a gateway. Spans that carry no
 * rollout have no place there and are refused, each counted.
 *
 * @example
 * const lightning = createLightning({ transport: createLogExporter({ append }) });
 *
 * Throws what `append` throws: `kafka-unavailable`, `too-large`.
 */
export function createLogExporter({
  append,
  project = "default",
}: {
  readonly append: Append;
  /** Project of spans that do not say theirs. */
  readonly project?: string;
}): Exporter {
  return {
    name: "log",
    async send(spans) {
      await resourcesKnown(spans);
      const records: Produced<"SpanRecorded">[] = [];
      const homeless: ReadableSpan[] = [];
      for (const span of spans) {
        const stamp = stampOf(span, project);
        if (stamp === undefined) homeless.push(span);
        else records.push(produced(span, stamp));
      }
      if (records.length > 0) await append(records);
      if (homeless.length === 0) return noneRefused;
      return { count: homeless.length, reason: "no rollout and attempt id", spans: homeless };
    },
  };
}

function produced(span: ReadableSpan, stamp: Stamp): Produced<"SpanRecorded"> {
  const key = keyOf(stamp.attempt.project, stamp.attempt.rolloutId);
  return { type: "SpanRecorded", value: recordOf(span, stamp), topic: "spans", key };
}

/** Resource attributes may still be on their way (host and cloud detectors ask the network). */
export async function resourcesKnown(spans: readonly ReadableSpan[]): Promise<void> {
  for (const { resource } of spans) {
    if (resource.asyncAttributesPending === true) await resource.waitForAsyncAttributes?.();
  }
}
