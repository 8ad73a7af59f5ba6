/**
 * The gateway's ports in memory, for tests beside it: a real log (an array of encoded records) and
 * small real folds of it. The fold of the product is processors/rollout-lifecycle.ts, which the
 * gateway may not import; this one knows what the gateway's tests ask for.
 */
import type { FastifyInstance } from "fastify";
import pino from "pino";
import { Registry } from "prom-client";
import { type Codec, createCodec } from "../../schemas/codec.ts";
import { LightningError } from "../../schemas/errors.ts";
import { bundled, recordNames, type Tagged } from "../../schemas/records.ts";
import type { Request } from "../../schemas/requests.ts";
import { keyOf, type TopicName, topicNames, topics } from "../../schemas/topics.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import type { Append, Produced } from "../producer.ts";
import { buildGateway, type GatewayOptions } from "./app.ts";
import type { Choices } from "./choices.ts";
import type { Answer, Rollouts } from "./ports.ts";
import { fold, terminal } from "./testing-fold.ts";
import { memoryResources } from "./testing-resources.ts";
import { memorySpans, memoryWorkers, noHistory } from "./testing-store.ts";

export type Logged = Tagged & { readonly topic: TopicName; readonly key: string };

/** The log, and the switch that takes the broker away. */
export type MemoryLog = {
  readonly append: Append;
  readonly records: Logged[];
  down: boolean;
  /** Called with what was appended. */
  readonly readers: ((record: Logged) => void)[];
};

/** A log that encodes and decodes every record as the broker's would. */
export async function memoryLog(): Promise<MemoryLog> {
  const codec = await memoryCodec();
  const records: Logged[] = [];
  const readers: ((record: Logged) => void)[] = [];
  const log: MemoryLog = {
    records,
    readers,
    down: false,
    async append(produced: readonly Produced[]) {
      await Promise.resolve();
      if (log.down) throw new LightningError("kafka-unavailable", "the broker did not answer");
      const bytes = produced.map((record) => codec.encode(record.topic, record));
      for (const [i, { topic, key }] of produced.entries()) {
        const decoded = codec.decode(bytes[i] ?? Buffer.alloc(0));
        if (decoded === undefined) throw new Error("schema not prepared");
        const record = { ...decoded, topic, key };
        records.push(record);
        for (const read of readers) read(record);
      }
    },
  };
  return log;
}

async function memoryCodec(): Promise<Codec> {
  const codec = createCodec({
    idOf: async (_subject, schema) =>
      1 + recordNames.findIndex((name) => bundled[name].text === schema),
    schemaOf: async () => "",
  });
  for (const topic of topicNames) await codec.prepare(topic, topics[topic].records);
  return codec;
}

/** A fold of `requests`, see testing-fold.ts. */
export function memoryRollouts(log: MemoryLog, now: () => number): Rollouts {
  const rollouts = new Map<string, RolloutChanged>();
  const submit = async (requests: readonly Request[]): Promise<readonly Answer[]> => {
    await log.append(
      requests.map((request) => ({
        ...request,
        topic: "requests" as const,
        key: keyOf(request.value.project, request.value.rollout_id),
      })),
    );
    return requests.map((request) => {
      const key = keyOf(request.value.project, request.value.rollout_id);
      const before = rollouts.get(key);
      const verdict = fold(before, request, now() * 1000);
      if (verdict.rollout !== null) rollouts.set(key, verdict.rollout);
      return verdict;
    });
  };
  return {
    submit,
    ...lookAt(rollouts, submit),
    progress: () => ({ ready: !log.down, behind: log.down ? 7 : 0 }),
  };
}

function lookAt(
  rollouts: ReadonlyMap<string, RolloutChanged>,
  submit: Rollouts["submit"],
): Omit<Rollouts, "submit" | "progress"> {
  const queue = (project: string): RolloutChanged[] =>
    [...rollouts.values()].filter((one) => one.project === project && one.status === "queuing");
  return {
    get: (project, rolloutId) => rollouts.get(keyOf(project, rolloutId)),
    async claim(project, { workerId, limit, requestId }) {
      const requests = queue(project)
        .slice(0, limit)
        .map((rollout, i): Request => {
          const { rollout_id } = rollout;
          const ids = { project, rollout_id, request_id: `${requestId}/${i}`, requested_at: 0 };
          return { type: "ClaimRequested", value: { ...ids, worker_id: workerId, forced: false } };
        });
      const answers = await submit(requests);
      return answers.flatMap(({ rollout }) => rollout ?? []);
    },
    queued: (project) => queue(project).length,
    list: (project) => [...rollouts.values()].filter((one) => one.project === project),
    caughtUp: async () => undefined,
    expire: async () => undefined,
    async finished(project, rolloutId, deadlineMs) {
      const key = keyOf(project, rolloutId);
      const done = (): boolean => terminal.has(rollouts.get(key)?.status ?? "");
      while (!done() && Date.now() < deadlineMs) await new Promise((wake) => setTimeout(wake, 5));
      return rollouts.get(key);
    },
  };
}

/** A gateway over a log in memory, and everything a test looks at. */
export type TestGateway = {
  readonly app: FastifyInstance;
  readonly log: MemoryLog;
  readonly rollouts: Rollouts;
  readonly registry: Registry;
  /** What was logged, one JSON text a line. */
  readonly lines: string[];
  /** Enqueues and claims one rollout; its attempt is `at-1`. */
  claimed(rolloutId: string, project?: string): Promise<void>;
};

export async function testGateway(options: Partial<GatewayOptions> = {}): Promise<TestGateway> {
  const log = await memoryLog();
  const now = options.now ?? Date.now;
  const rollouts = memoryRollouts(log, now);
  const registry = new Registry();
  const lines: string[] = [];
  const logger = pino({ level: "debug" }, { write: (line: string) => lines.push(line) });
  const app = buildGateway({
    append: log.append,
    rollouts,
    spans: memorySpans(log),
    history: noHistory,
    workers: memoryWorkers(now),
    resources: memoryResources(log, now),
    sql: memorySql,
    registry,
    logger,
    choices: testChoices,
    ...options,
  });
  const claimed = async (rolloutId: string, project = "default"): Promise<void> => {
    const base = project === "default" ? "" : `/projects/${project}`;
    const payload = { input: "task", rollout_id: rolloutId };
    await app.inject({ method: "POST", url: `${base}/api/v1/rollouts`, payload });
    await app.inject({ method: "POST", url: `${base}/api/v1/rollouts/claim`, payload: {} });
  };
  return { app, log, rollouts, registry, lines, claimed };
}

/** Two strategies without options, and a selection that has agents at most. */
const testChoices: Choices = {
  checkCredit({ strategy }) {
    if (["final-reward", "group-relative"].includes(strategy)) return;
    const allowed = "allowed are final-reward, group-relative";
    throw new LightningError("record-invalid", `credit.strategy: read ${strategy}, ${allowed}`, {
      field: "credit.strategy",
    });
  },
  checkSelection(text) {
    const [other] = Object.keys(JSON.parse(text)).filter((name) => name !== "agents");
    if (other === undefined) return;
    const message = `selection: read ${other}, must be the field agents`;
    throw new LightningError("record-invalid", message, { field: "selection" });
  },
};

async function memorySql(query: string, format: string): Promise<string> {
  if (!/^\s*select\b/i.test(query)) {
    throw new LightningError("query-refused", "query: allowed is one SELECT", { field: "query" });
  }
  return JSON.stringify({ query, format });
}
