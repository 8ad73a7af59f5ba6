import type { FastifyInstance, FastifyRequest } from "fastify";
import type { FastifySchemaValidationError } from "fastify/types/schema.js";
import { LightningError } from "../../schemas/errors.ts";
import { type BodyLimits, readBody } from "./bodies.ts";

/** Makes a scope read JSON bodies, compressed or not, within the limits. An empty body is none. */
export function readJsonBodies(scope: FastifyInstance, limits: BodyLimits): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(
    "application/json",
    async (request: FastifyRequest, payload: FastifyRequest["raw"]) => {
      const bytes = await readBody(payload, request.headers["content-encoding"], limits);
      return bytes.length === 0 ? undefined : parseJson(bytes.toString("utf8"));
    },
  );
  scope.addContentTypeParser("*", async (request: FastifyRequest) => {
    const seen = JSON.stringify((request.headers["content-type"] ?? "").slice(0, 80));
    throw new LightningError(
      "media-type-unsupported",
      `Content-Type: read ${seen}, allowed is application/json`,
      { field: "Content-Type" },
    );
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    // V8 quotes the text around the mistake: helpful to who sent it, and it goes nowhere else.
    const message = cause instanceof Error ? cause.message : "cannot be parsed";
    throw new LightningError("request-invalid", `body is not JSON: ${message.slice(0, 200)}`, {
      cause,
      field: "body",
    });
  }
}

/** JSON text of a field a client sent; `request-invalid` when it nests deeper than can be written. */
export function jsonField(value: unknown, field: string): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (cause) {
    throw new LightningError("request-invalid", `${field}: nested too deep`, { cause, field });
  }
}

/** The value of JSON text; the text itself when a producer beside the gateway wrote none. */
export function jsonValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

type ValidationError = FastifySchemaValidationError & {
  readonly data?: unknown;
  readonly parentSchema?: { readonly properties?: object };
};

/** The first mistake ajv found, as an error that names the field, what was read and what is allowed. */
export function validationError(
  errors: FastifySchemaValidationError[],
  where: string,
): LightningError {
  const [error] = errors as ValidationError[];
  if (error === undefined) return new LightningError("request-invalid", `${where} is invalid`);
  const path = fieldOf(error.instancePath);
  const { missingProperty, additionalProperty } = error.params as Record<string, string>;
  const named = missingProperty ?? additionalProperty;
  const field = named === undefined ? path || where : path === "" ? named : `${path}.${named}`;
  return new LightningError("request-invalid", `${field}: ${complaint(error)}`, { field });
}

function complaint(error: ValidationError): string {
  const { keyword, params, parentSchema } = error;
  if (keyword === "required") return "is missing";
  if (keyword === "additionalProperties") {
    return `is no field here, allowed are ${Object.keys(parentSchema?.properties ?? {}).join(", ")}`;
  }
  const { allowedValues } = params as { allowedValues?: readonly unknown[] };
  const rule =
    allowedValues === undefined ? error.message : `must be one of ${allowedValues.join(", ")}`;
  return `read ${seen(error.data)}, ${rule}`;
}

/** A JSON pointer as people write it: `/0/config/max_attempts` is `[0].config.max_attempts`. */
function fieldOf(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~").slice(0, 80))
    .reduce((path, part) => {
      if (/^\d+$/.test(part)) return `${path}[${part}]`;
      return path === "" ? part : `${path}.${part}`;
    }, "");
}

function seen(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? `a list of ${value.length}` : "an object";
  }
  // JSON has no infinity, but a number too large for one becomes it.
  if (typeof value === "number") return String(value);
  return (JSON.stringify(value) ?? "nothing").slice(0, 80);
}
