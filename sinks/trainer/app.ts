import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from "fastify";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { isProjectName } from "../../schemas/topics.ts";
import { maxResourceBytes, readAcknowledgement } from "./acknowledgement.ts";
import { readableBatch } from "./batch.ts";
import { choiceField, type Fields, fieldsOf, invalid, numberField, textField } from "./input.ts";
import type { Leased } from "./leases.ts";
import { packBatch, packedMediaType } from "./packed.ts";
import type { TrainerPort } from "./port.ts";
import { statusOf } from "./status.ts";
import { type Clock, createTrainer, type LeaseWish, type Trainer } from "./trainer.ts";
import { createWaiting } from "./waiting.ts";

export type TrainerSettings = {
  readonly clock: Clock;
  /** Modes a lease may ask for: those of the ledgers. */
  readonly modes: readonly string[];
  /** When the worker says nothing. */
  readonly leaseSeconds: number;
  readonly maxSamples: number;
  /** Longest a lease request may wait, seconds. */
  readonly maxWaitSeconds: number;
  readonly logger?: FastifyBaseLogger;
};

export const defaultTrainerSettings: TrainerSettings = {
  clock: Date.now,
  modes: ["train"],
  leaseSeconds: 300,
  maxSamples: 256,
  maxWaitSeconds: 60,
};

/** A day: a worker that needs longer extends. */
const maxLeaseSeconds = 86_400;
/** Base64 makes a third more of a blob. */
const maxBodyBytes = Math.ceil((maxResourceBytes * 4) / 3) + 1024 * 1024;
const retryAfterSeconds = "1";

/**
 * The HTTP side of the trainer, at the root for the project `default` and under
 * `/projects/:project`: `POST /v1/batches/lease`, `/v1/batches/:lease/extend`, `/ack`, `/nack`,
 * `GET /v1/status`. Errors are `{error: {code, message, …}}` with the status of their code.
 */
export function buildTrainer(
  port: TrainerPort,
  settings: TrainerSettings = defaultTrainerSettings,
): FastifyInstance {
  const { logger } = settings;
  const app: FastifyInstance = Fastify({
    bodyLimit: maxBodyBytes,
    ...(logger === undefined ? { logger: false } : { loggerInstance: logger }),
    logController: new LogController({ disableRequestLogging: true }),
  });
  const waiting = createWaiting();
  const unsubscribe = port.subscribe(waiting.changed);
  // Before the server stops listening: an open long poll would hold it up for its whole wait.
  app.addHook("preClose", async () => {
    unsubscribe();
    waiting.close();
  });
  addBodies(app);
  app.setErrorHandler((error: unknown, request, reply) => answerError(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const what = `${request.method} ${request.url} is not served here`;
    return answerError(new LightningError("not-found", what), request, reply);
  });
  const trainer = createTrainer(port, waiting, settings.clock);
  for (const prefix of ["", "/projects/:project"]) {
    addRoutes(app, prefix, trainer, settings);
    app.get(`${prefix}/v1/status`, async (request) =>
      statusOf(port.partitions(), projectOf(request)),
    );
  }
  return app;
}

function addBodies(app: FastifyInstance): void {
  const asBuffer = { parseAs: "buffer" } as const;
  app.addContentTypeParser("application/json", asBuffer, async (_: FastifyRequest, body: Buffer) =>
    parseJson(body),
  );
  app.addContentTypeParser(
    "application/octet-stream",
    asBuffer,
    async (_: FastifyRequest, body: Buffer) => body,
  );
}

function addRoutes(
  app: FastifyInstance,
  prefix: string,
  trainer: Trainer,
  settings: TrainerSettings,
): void {
  const batches = `${prefix}/v1/batches`;
  app.post(`${batches}/lease`, (request, reply) => answerLease(request, reply, trainer, settings));
  app.post(`${batches}/:lease/extend`, async (request) => {
    const fields = fieldsOf(request.body, ["lease_seconds"]);
    const seconds = secondsOf(fields) ?? settings.leaseSeconds;
    const batch = await trainer.extend(leaseOf(request), projectOf(request), seconds);
    return { lease_id: batch.lease_id, expires_at: new Date(batch.expires_at / 1000) };
  });
  app.post(`${batches}/:lease/ack`, async (request) => {
    const given = readAcknowledgement(request.body);
    const trained = await trainer.ack(leaseOf(request), projectOf(request), given);
    const { batch_id, lease_id, resources_id, resources_version } = trained;
    return { batch_id, lease_id, resources_id, version: resources_version };
  });
  app.post(`${batches}/:lease/nack`, async (request) => {
    const fields = fieldsOf(request.body, ["reason"]);
    const reason = textField(fields, "reason", 1000) ?? "";
    await trainer.nack(leaseOf(request), projectOf(request), reason);
    return { lease_id: leaseOf(request) };
  });
}

const leaseFields = [
  "worker_id",
  "project",
  "mode",
  "policy",
  "max_samples",
  "max_tokens",
  "min_samples",
  "max_staleness",
  "equal_rewards",
  "lease_seconds",
  "wait_seconds",
  "text",
];

async function answerLease(
  request: FastifyRequest,
  reply: FastifyReply,
  trainer: Trainer,
  settings: TrainerSettings,
): Promise<FastifyReply> {
  const packed = wantsPacked(request.headers.accept);
  const fields = fieldsOf(request.body, leaseFields);
  const wish = wishOf(fields, projectOf(request), settings);
  const max = settings.maxWaitSeconds;
  const wait = numberField(fields, "wait_seconds", { min: 0, max, whole: false }) ?? 0;
  const text = choiceField(fields, "text", [true, false]) ?? !packed;
  // A worker that went away must not be given a batch that nobody trains until it expires.
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  const deadline = settings.clock() + wait * 1000;
  const leased = await trainer.lease(wish, deadline, gone.signal);
  if (leased === null) return reply.code(204).send();
  return sendBatch(reply, leased, wish.leaseSeconds, { packed, text });
}

function sendBatch(
  reply: FastifyReply,
  leased: Leased,
  leaseSeconds: number,
  { packed, text }: { readonly packed: boolean; readonly text: boolean },
): FastifyReply {
  reply.header("vary", "accept");
  if (!packed) return reply.send(readableBatch(leased, leaseSeconds, text));
  return reply.type(packedMediaType).send(packBatch(leased, leaseSeconds, text));
}

function wishOf(fields: Fields, path: string | null, settings: TrainerSettings): LeaseWish {
  const count = { min: 1, max: Number.MAX_SAFE_INTEGER, whole: true };
  const named = textField(fields, "project");
  if (path !== null && named !== undefined && named !== path) {
    throw invalid("project", named, `${path}, the project of the path`);
  }
  const project = path ?? named ?? "default";
  if (!isProjectName(project)) throw invalid("project", project, "letters, digits, . _ -");
  const maxTokens = numberField(fields, "max_tokens", count) ?? null;
  const asked = numberField(fields, "max_samples", count) ?? null;
  const maxSamples = asked ?? (maxTokens === null ? settings.maxSamples : null);
  const most = maxSamples ?? Number.MAX_SAFE_INTEGER;
  return {
    project,
    workerId: textField(fields, "worker_id") ?? "unnamed",
    mode: choiceField(fields, "mode", settings.modes) ?? "train",
    policy: policyOf(fields),
    maxSamples,
    maxTokens,
    minSamples: numberField(fields, "min_samples", { ...count, max: most }) ?? 1,
    maxStaleness: numberField(fields, "max_staleness", { ...count, min: 0 }) ?? null,
    equalRewards: choiceField(fields, "equal_rewards", ["include", "withhold"]) ?? "include",
    leaseSeconds: secondsOf(fields) ?? settings.leaseSeconds,
  };
}

/** A policy by name; the empty name means the rows that no selection routed. */
function policyOf(fields: Fields): string | null {
  return fields.policy === "" ? "" : (textField(fields, "policy") ?? null);
}

function secondsOf(fields: Fields): number | undefined {
  return numberField(fields, "lease_seconds", { min: 0.1, max: maxLeaseSeconds, whole: false });
}

function leaseOf(request: FastifyRequest): string {
  return (request.params as { lease: string }).lease;
}

/** The project of the path; null at the root. */
function projectOf(request: FastifyRequest): string | null {
  const { project } = request.params as { project?: string };
  if (project === undefined) return null;
  if (!isProjectName(project)) throw invalid("project", project, "letters, digits, . _ -");
  return project;
}

function wantsPacked(accept: string | undefined): boolean {
  const wanted = (accept ?? "*/*").split(",").map((part) => part.split(";")[0]?.trim() ?? "");
  if (wanted.includes(packedMediaType)) return true;
  if (wanted.some((type) => ["application/json", "application/*", "*/*"].includes(type))) {
    return false;
  }
  throw new LightningError(
    "media-type-unsupported",
    `accept: read ${accept}, allowed is application/json or ${packedMediaType}`,
    { field: "accept" },
  );
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString("utf8"));
  } catch (error) {
    throw new LightningError(
      "request-invalid",
      `body: not JSON (${messageOf(error)}); NaN and Infinity are no JSON numbers`,
      { cause: error, field: "body" },
    );
  }
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = error instanceof LightningError ? error : ofFastify(error);
  if (known === undefined) {
    request.log.error({ err: error }, "trainer request failed");
    const message = "a defect of the trainer; its log has the stack";
    return reply.code(500).send({ error: { code: "internal", message } });
  }
  if (known.reaction !== "refuse") reply.header("retry-after", retryAfterSeconds);
  const { code, message, fields } = known;
  return reply.code(known.status).send({ error: { code, message, ...fields } });
}

/** Fastify's own refusals in our codes; undefined for everything else. */
function ofFastify(error: unknown): LightningError | undefined {
  const { statusCode, message } = error as Partial<FastifyError>;
  if (statusCode === 413) {
    return new LightningError("too-large", `body: allowed is ${maxBodyBytes} bytes`, {
      cause: error,
    });
  }
  if (statusCode === 415) {
    const allowed = "application/json or, for an acknowledgement, application/octet-stream";
    return new LightningError("media-type-unsupported", `content-type: allowed is ${allowed}`);
  }
  if (statusCode === undefined || statusCode >= 500) return undefined;
  return new LightningError("request-invalid", message ?? "bad request", { cause: error });
}
