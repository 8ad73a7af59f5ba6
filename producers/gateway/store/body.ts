import type { FastifyRequest } from "fastify";
import type { Body } from "./json.ts";
import { type Fields, fieldsOf, type Issue, invalid, missing } from "./validation.ts";

/** The fields of a body that must be an object. */
export function bodyFields(request: FastifyRequest): Fields {
  const body = request.body as Body | undefined;
  if (body !== undefined) return fieldsIn(body);
  throw invalid([{ ...missing, loc: ["body"], input: null }]);
}

/** The fields of a body that may be absent or null; those of an empty object then. */
export function bodyFieldsIfAny(request: FastifyRequest): Fields {
  const body = request.body as Body | undefined;
  return body === undefined || body.value === null
    ? fieldsOf({}, "{}", ["body"], [])
    : fieldsIn(body);
}

function fieldsIn(body: Body): Fields {
  const issues: Issue[] = [];
  const fields = objectFields(body.value, body.text, ["body"], issues);
  if (fields === null) throw invalid(issues);
  return fields;
}

/** The fields of a value that must be an object; null when it is none, which is noted. */
export function objectFields(
  value: unknown,
  text: string,
  loc: Fields["loc"],
  issues: Issue[],
): Fields | null {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return fieldsOf(value as Record<string, unknown>, text, loc, issues);
  }
  const msg = "Input should be a valid dictionary or object to extract fields from";
  issues.push({ type: "model_attributes_type", loc, msg, input: value });
  return null;
}
