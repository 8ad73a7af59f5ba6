import { isUtf8 } from "node:buffer";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import { withoutBareNumbers } from "../../../schemas/raw-json.ts";
import { type BodyLimits, readBody } from "../bodies.ts";
import { deepest } from "./raw.ts";
import { invalid } from "./validation.ts";

/** A JSON body: its value to look at, its text to keep what a JavaScript number cannot. */
export type Body = {
  readonly value: unknown;
  /** Valid JSON: bare NaN and infinities are null in it. */
  readonly text: string;
  /** Whether there were any. */
  readonly bare: boolean;
};

/**
 * Makes a scope read bodies the way FastAPI does: none is `undefined` whatever the content type says,
 * because aiohttp sends `application/octet-stream` with nothing.
 */
export function readStoreBodies(scope: FastifyInstance, limits: BodyLimits): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(
    "*",
    async (request: FastifyRequest, payload: FastifyRequest["raw"]): Promise<Body | undefined> => {
      const bytes = await readBody(payload, request.headers["content-encoding"], limits);
      if (bytes.length === 0) return undefined;
      if (!isJson(request.headers["content-type"])) throw notJson(bytes);
      return parseBody(bytes);
    },
  );
}

function isJson(contentType: string | undefined): boolean {
  const media = (contentType ?? "application/json").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  return media === "" || media === "application/json" || media.endsWith("+json");
}

function notJson(bytes: Buffer): LightningError {
  const msg = "Input should be a valid dictionary or object to extract fields from";
  const input = bytes.toString("latin1", 0, 80);
  return invalid([{ type: "model_attributes_type", loc: ["body"], msg, input }]);
}

/** @throws LightningError 422 for what is no JSON, 400 for what is no UTF-8. */
export function parseBody(bytes: Buffer): Body {
  if (!isUtf8(bytes)) {
    const message = "There was an error parsing the body";
    throw new LightningError("request-invalid", message, { field: "body" });
  }
  const sent = bytes.toString("utf8");
  const body = parsed(sent) ?? parsed(withoutBareNumbers(sent), true);
  if (body === null) throw noJson(sent);
  checkWellFormed(body);
  return body;
}

function parsed(text: string, bare = false): Body | null {
  try {
    return { value: JSON.parse(text), text, bare };
  } catch {
    return null;
  }
}

function noJson(text: string): LightningError {
  let said = "";
  try {
    JSON.parse(text);
  } catch (error) {
    said = error instanceof Error ? error.message.slice(0, 200) : "";
  }
  const at = Number(/position (\d+)/.exec(said)?.[1] ?? 0);
  const msg = "JSON decode error";
  return invalid([
    { type: "json_invalid", loc: ["body", at], msg, input: {}, ctx: { error: said } },
  ]);
}

/** Half a surrogate pair can be written in JSON but not in UTF-8: nobody could read it back. */
function checkWellFormed({ value, text }: Body): void {
  if (!/\\u[dD][89a-fA-F]/.test(text)) return;
  const lone = loneSurrogate(value, ["body"]);
  if (lone === null) return;
  const type = "string_unicode";
  const msg = "Input should be a valid string, unable to parse raw data as a unicode string";
  throw invalid([{ type, loc: lone, msg, input: null }]);
}

type Loc = readonly (string | number)[];

function loneSurrogate(value: unknown, loc: Loc): Loc | null {
  if (typeof value === "string") return /\p{Surrogate}/u.test(value) ? loc : null;
  // Deeper than this is refused when the field is read.
  if (typeof value !== "object" || value === null || loc.length > deepest) return null;
  for (const [name, item] of Object.entries(value)) {
    const key = Array.isArray(value) ? Number(name) : name;
    if (/\p{Surrogate}/u.test(name)) return loc;
    const found = loneSurrogate(item, [...loc, key]);
    if (found !== null) return found;
  }
  return null;
}
