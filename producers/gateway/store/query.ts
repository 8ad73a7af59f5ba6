import type { FastifyRequest } from "fastify";
import { bodyFields } from "./body.ts";
import type { Model, Order } from "./search.ts";
import {
  asInteger,
  asText,
  check,
  defaulted,
  type Fields,
  fieldsOf,
  has,
  oneOf,
  optional,
  refused,
} from "./validation.ts";

/** The fields of a query, of the address for GET and of the body for POST. */
export function queryFields(request: FastifyRequest, lists: readonly string[] = []): Fields {
  if (request.method === "POST") return bodyFields(request);
  const value: Record<string, unknown> = {};
  for (const [name, said] of Object.entries(request.query as Record<string, string | string[]>)) {
    // A list is its key repeated; of anything else the last one counts.
    if (lists.includes(name)) value[name] = Array.isArray(said) ? said : [said];
    else value[name] = Array.isArray(said) ? said.at(-1) : said;
  }
  return fieldsOf(value, "{}", ["query"], []);
}

const directions = oneOf(["asc", "desc"] as const);
const logics = oneOf(["and", "or"] as const);

export function logicOf(fields: Fields): "and" | "or" {
  return defaulted(fields, "filter_logic", logics, "and");
}

/** A text that is no condition when it is absent or null. */
export function textOrNull(fields: Fields, name: string): string | null {
  return optional(fields, name, asText) ?? null;
}

/** Sorting and paging; every other field must have been read before, so that all mistakes are told. */
export function orderOf(fields: Fields, model: Model, fallback: string | null): Order {
  const said = optional(fields, "sort_by", asText);
  const order: Order = {
    sortBy: has(fields, "sort_by") ? (said ?? null) : fallback,
    sortOrder: defaulted(fields, "sort_order", directions, "asc"),
    limit: defaulted(fields, "limit", asInteger, -1),
    offset: defaulted(fields, "offset", asInteger, 0),
  };
  check(fields.issues);
  checkSort(order.sortBy, model);
  if (order.limit === 0 || order.limit < -1) {
    throw refused("Limit must be greater than 0 or -1 for no limit");
  }
  if (order.offset < 0) throw refused("Offset must be greater than or equal to 0");
  return order;
}

function checkSort(sortBy: string | null, model: Model): void {
  if (sortBy === null) return;
  const names = Object.keys(model);
  if (!names.includes(sortBy)) {
    throw refused(
      `Invalid sort_by: ${sortBy.slice(0, 200)}, allowed fields are: ${names.join(", ")}`,
    );
  }
  if (model[sortBy] !== null) return;
  const ordered = names.filter((name) => model[name] !== null);
  throw refused(
    `Invalid sort_by: ${sortBy} has no order, allowed fields are: ${ordered.join(", ")}`,
  );
}
