import { promisify } from "node:util";
import zlib from "node:zlib";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import { readBody } from "../bodies.ts";
import type { Gateway } from "../context.ts";
import { type Answer, answerTo } from "../errors.ts";
import { checkId } from "../ids.ts";
import { projectOf } from "../project.ts";
import {
  contentTypes,
  exportResponse,
  type Format,
  formatOf,
  rpcCode,
  rpcStatus,
} from "./answers.ts";
import { collectSpans } from "./collect.ts";
import type { Address } from "./place.ts";

const gzip = promisify(zlib.gzip);

/**
 * OTLP/HTTP traces (https://opentelemetry.io/docs/specs/otlp/#otlphttp): `POST /v1/traces`, and the
 * same below `/rollout/:rollout/attempt/:attempt` for senders that cannot set attributes. 200 means
 * that every span not counted in `rejected_spans` is durable.
 */
export function otlpRoutes(gateway: Gateway): (scope: FastifyInstance) => Promise<void> {
  return async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      "*",
      async (request: FastifyRequest, payload: FastifyRequest["raw"]) => {
        mustBeOtlp(request);
        return readBody(payload, request.headers["content-encoding"], gateway.bodyLimits);
      },
    );
    scope.setErrorHandler(async (error, request, reply) => {
      const answer = answerTo(error);
      gateway.metrics.errors.inc({ code: answer.code });
      if (answer.code === "internal") request.log.error({ err: error }, "a request failed");
      return sendStatus(request, reply, answer);
    });
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const format = mustBeOtlp(request);
      const body = request.body instanceof Buffer ? request.body : Buffer.alloc(0);
      const address = addressOf(request);
      const collected = collectSpans(format, body, address);
      await keep(gateway, address.project, collected);
      return send(
        request,
        reply,
        format,
        exportResponse(format, collected.rejected, collected.message),
      );
    };
    scope.post("/v1/traces", handler);
    // As in the reference: only traces have a place here.
    for (const signal of ["metrics", "logs", "development/profiles"]) {
      scope.post(`/v1/${signal}`, async (_request, reply) => reply.code(501).send());
    }
    scope.post("/rollout/:rollout/attempt/:attempt/v1/traces", handler);
  };
}

async function keep(
  gateway: Gateway,
  project: string,
  collected: ReturnType<typeof collectSpans>,
): Promise<void> {
  const { records, rejected, largest } = collected;
  const { spans, spanBytes } = gateway.metrics;
  if (rejected > 0) spans.inc({ outcome: "rejected" }, rejected);
  if (largest > 0) spanBytes.observe(largest);
  if (records.length === 0) return;
  await gateway.keep.many(project, records);
  spans.inc({ outcome: "accepted" }, records.length);
}

function addressOf(request: FastifyRequest): Address {
  const { rollout, attempt } = request.params as { rollout?: string; attempt?: string };
  return {
    project: projectOf(request),
    rolloutId: rollout === undefined ? null : checkId(rollout, "rollout"),
    attemptId: attempt === undefined ? null : checkId(attempt, "attempt"),
  };
}

function mustBeOtlp(request: FastifyRequest): Format {
  const contentType = request.headers["content-type"];
  const format = formatOf(contentType);
  if (format !== null) return format;
  throw new LightningError(
    "request-invalid",
    `Content-Type: read ${JSON.stringify((contentType ?? "").slice(0, 80))}, allowed are ${contentTypes.protobuf} and ${contentTypes.json}`,
    { field: "Content-Type" },
  );
}

async function sendStatus(
  request: FastifyRequest,
  reply: FastifyReply,
  answer: Answer,
): Promise<FastifyReply> {
  const format = formatOf(request.headers["content-type"]) ?? "protobuf";
  reply.code(answer.status).headers(answer.headers);
  return send(request, reply, format, rpcStatus(format, rpcCode(answer.status), answer.message));
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  format: Format,
  body: Buffer,
): Promise<FastifyReply> {
  reply.header("content-type", contentTypes[format]);
  if (!accepts(request.headers["accept-encoding"], "gzip")) return reply.send(body);
  return reply.header("content-encoding", "gzip").send(await gzip(body));
}

/** Whether an Accept-Encoding header names an encoding with a weight above 0. */
function accepts(header: string | string[] | undefined, encoding: string): boolean {
  for (const part of String(header ?? "").split(",")) {
    const [name, ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    if (name === encoding) return !parameters.some((text) => /^q=0(\.0*)?$/.test(text));
  }
  return false;
}
