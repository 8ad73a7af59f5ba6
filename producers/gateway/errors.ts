import type { FastifyError } from "fastify";
import { LightningError, messageOf, reactions } from "../../schemas/errors.ts";

/** An error as a client sees it. */
export type Answer = {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly field: string | null;
  readonly headers: Readonly<Record<string, string>>;
};

declare module "fastify" {
  interface FastifyContextConfig {
    /** The body of an error answer, where it is not {@link errorBody}. */
    readonly errorBody?: (answer: Answer) => object;
  }
}

/** Seconds a client should wait before it asks again. */
const retryAfter = "1";

/**
 * What a client is told about an error. Codes of records that cannot succeed are the client's fault
 * here: it sent them. Anything without a code is a bug, of which a client learns nothing.
 */
export function answerTo(error: unknown): Answer {
  if (error instanceof LightningError) {
    const { reaction, status } = reactions[error.code];
    const { field } = error.fields;
    const headers: Record<string, string> = {};
    if (reaction === "retry" && status === 503) headers["retry-after"] = retryAfter;
    // The rest of a body that is too large is not read: the connection cannot be used again.
    if (status === 413) headers.connection = "close";
    return {
      status,
      code: error.code,
      message: error.message,
      field: typeof field === "string" ? field : null,
      headers,
    };
  }
  return answerToFastify(error as Partial<FastifyError>) ?? bug;
}

const bug: Answer = {
  status: 500,
  code: "internal",
  message: "the gateway failed; its log says why",
  field: null,
  headers: {},
};

function answerToFastify(error: Partial<FastifyError>): Answer | null {
  const status = error.statusCode ?? 500;
  if (status < 400 || status >= 500) return null;
  const headers: Record<string, string> = status === 413 ? { connection: "close" } : {};
  // Fastify quotes the URL whole.
  const message = messageOf(error).slice(0, 300);
  return { status, code: codeFor(status), message, field: null, headers };
}

function codeFor(status: number): string {
  if (status === 404) return "not-found";
  if (status === 413 || status === 414) return "too-large";
  return status === 415 ? "media-type-unsupported" : "request-invalid";
}

/** The JSON body of an error answer. */
export function errorBody(answer: Answer): object {
  const { code, message, field } = answer;
  return { error: { code, message, ...(field === null ? {} : { field }) } };
}
