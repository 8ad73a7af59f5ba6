import type { SpanRecorded } from "../../schemas/types.ts";
import { attributesToObject } from "../attributes.ts";
import type { Append, Produced } from "../producer.ts";
import { createLightning, type Lightning, type LightningOptions } from "./lightning.ts";
import { createLogExporter } from "./log-exporter.ts";

/** A log in memory: what the broker would hold, duplicates included, and a switch to take it away. */
export type MemoryLog = {
  readonly records: Produced[];
  readonly append: Append;
  /** Thrown by `append` while set. */
  failure: Error | undefined;
  /** True: a failing `append` has written all the same; only its answer is lost. */
  answerLost: boolean;
  readonly calls: () => number;
};

export function memoryLog(): MemoryLog {
  let calls = 0;
  const log: MemoryLog = {
    records: [],
    failure: undefined,
    answerLost: false,
    calls: () => calls,
    async append(records) {
      calls++;
      await new Promise((resolve) => setImmediate(resolve));
      if (log.failure === undefined || log.answerLost) log.records.push(...records);
      if (log.failure !== undefined) throw log.failure;
    },
  };
  return log;
}

/** A client over a log in memory that leaves the process as it was. */
export function memoryLightning(options: Partial<LightningOptions> = {}): {
  readonly log: MemoryLog;
  readonly lightning: Lightning;
} {
  const log = memoryLog();
  const lightning = createLightning({
    transport: createLogExporter({ append: log.append }),
    register: false,
    exitHooks: false,
    ...options,
    buffer: { lingerMs: 1, log: () => undefined, ...options.buffer },
  });
  return { log, lightning };
}

/** The spans of a log, in order. */
export function spansOf(log: MemoryLog): SpanRecorded[] {
  return log.records.flatMap((record) => (record.type === "SpanRecorded" ? [record.value] : []));
}

/** A span's attributes but for the stamp. */
export function ownAttributes(span: SpanRecorded | undefined): Record<string, unknown> {
  const all = span === undefined ? [] : Object.entries(attributesToObject(span.attributes));
  const stamp = /^agentlightning\.(project|rollout_id|attempt_id|span_sequence_id)$/;
  return Object.fromEntries(all.filter(([name]) => !stamp.test(name)));
}

/** Runs `fn` in an attempt and gives the spans it made, once the log has them. */
export async function spansIn(fn: () => unknown): Promise<SpanRecorded[]> {
  const { log, lightning } = memoryLightning();
  try {
    await lightning.withAttempt({ rolloutId: "ro-1", attemptId: "at-1" }, async () => fn());
    await lightning.flush();
    return spansOf(log);
  } finally {
    await lightning.shutdown();
  }
}
