import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { LightningError, messageOf } from "../../../schemas/errors.ts";
import { maxSpanBytes } from "../../../schemas/topics.ts";
import type { Gateway } from "../context.ts";
import { readJsonBodies } from "../json.ts";
import { projectOf } from "../project.ts";
import { anthropic } from "./anthropic/dialect.ts";
import { type Call, recordCall, resourcesFor, startCall, whose, withoutSecrets } from "./call.ts";
import { type Dialect, openAi } from "./dialect.ts";
import { enginesOf } from "./engine.ts";
import { callEngine, type Patience } from "./forward.ts";
import { objectOf, parsedObject, textOf } from "./reading.ts";
import { openAiResponses } from "./responses/dialect.ts";
import { relay } from "./stream.ts";

/** Largest answer of an engine that is read whole, bytes. */
const maxAnswerBytes = 64 * 1024 * 1024;

/**
 * OpenAI's and Anthropic's APIs below `/rollout/:rollout/attempt/:attempt/v1`: forwards to the engine
 * that the rollout's resources name and records every call as one span, which is durable before the
 * agent sees the end of the answer.
 */
export function proxyRoutes(gateway: Gateway): (scope: FastifyInstance) => Promise<void> {
  return async (scope) => {
    const { compressed } = gateway.bodyLimits;
    readJsonBodies(scope, {
      compressed: Math.min(compressed, maxSpanBytes),
      decompressed: maxSpanBytes,
    });
    const base = "/rollout/:rollout/attempt/:attempt";
    for (const version of ["", "/v1"]) {
      for (const [path, dialect] of Object.entries(dialects)) {
        const config = { errorBody: dialect.errorBody };
        scope.post(`${base}${version}/${path}`, { config }, (request, reply) =>
          complete(gateway, request, reply, dialect),
        );
      }
      scope.get(`${base}${version}/models`, (request) => models(gateway, request));
    }
  };
}

/** By path below `/v1`. */
const dialects: Readonly<Record<string, Dialect>> = {
  "chat/completions": openAi("chat/completions"),
  completions: openAi("completions"),
  messages: anthropic,
  responses: openAiResponses,
};

async function models(gateway: Gateway, request: FastifyRequest): Promise<object> {
  const project = projectOf(request);
  const { rollout } = await whose(gateway, request, project);
  const set = resourcesFor(gateway, project, rollout);
  const created = Math.floor(set.created_at / 1_000_000);
  const names = enginesOf(set, gateway.proxy).flatMap(({ name, model }) => [model, name]);
  const data = [...new Set(names)].map((id) => {
    return { id, object: "model", created, owned_by: set.resources_id };
  });
  return { object: "list", data };
}

async function complete(
  gateway: Gateway,
  request: FastifyRequest,
  reply: FastifyReply,
  dialect: Dialect,
): Promise<FastifyReply> {
  const call = await startCall(gateway, request, dialect);
  const patience = patienceFor(reply, gateway.proxy.deadlineMs);
  const { response, content } = await forward(gateway, call, patience);
  reply.code(response.status);
  reply.header("content-type", response.headers.get("content-type") ?? "application/json");
  if (content === null) return reply.send(Readable.from(relay(gateway, call, response, patience)));
  const { status, headers } = response;
  if (dialect.contentType !== null) reply.header("content-type", dialect.contentType);
  const whole = parsedObject(content);
  const failure = response.ok
    ? whole === null
      ? "the engine's answer is not JSON"
      : null
    : (textOf(objectOf(whole?.error)?.message) ?? `the engine answered ${status}`);
  await recordCall(gateway, call, { status, headers, response: whole, failure });
  if (!response.ok) return reply.send(dialect.refusal(withoutSecrets(call, content), status));
  return reply.send(whole === null ? content : dialect.answer(content, whole, call.asked));
}

/**
 * Ends when the agent closes its connection before the answer's end, or at the deadline, streams
 * included. (Node 20 may collect a signal of AbortSignal.any before its time-out fires.)
 */
function patienceFor(reply: FastifyReply, deadlineMs: number): Patience {
  const controller = new AbortController();
  let why: "gone" | "late" | null = null;
  const stop = (reason: "gone" | "late"): void => {
    why ??= reason;
    controller.abort();
  };
  const timer = setTimeout(() => stop("late"), deadlineMs);
  reply.raw.on("close", () => {
    clearTimeout(timer);
    if (!reply.raw.writableFinished) stop("gone");
  });
  return { signal: controller.signal, over: () => why };
}

/** The engine's answer; its content is null when it is a stream. A call without one is recorded too. */
async function forward(
  gateway: Gateway,
  call: Call,
  patience: Patience,
): Promise<{ response: Response; content: string | null }> {
  const { engine, dialect, body, rollout } = call;
  const streams = call.asked.stream === true;
  const read = async (response: Response): Promise<string | null> =>
    streams && isStream(response) ? null : readText(response);
  const onRetry = (retries: number): void => {
    call.retries = retries;
    gateway.metrics.engineRetries.inc();
  };
  const path = dialect.enginePath;
  const forwarded = { engine, path, rolloutId: rollout.rollout_id, body, patience };
  try {
    return await callEngine(forwarded, gateway.proxy, read, onRetry);
  } catch (error) {
    const failure = messageOf(error);
    await recordCall(gateway, call, { status: null, headers: null, response: null, failure });
    throw error;
  }
}

function isStream(response: Response): boolean {
  const type = response.headers.get("content-type") ?? "";
  return response.ok && type.toLowerCase().startsWith("text/event-stream");
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxAnswerBytes) {
      const message = `the engine's answer is larger than ${maxAnswerBytes} bytes`;
      throw new LightningError("engine-unavailable", message);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString("utf8");
}
