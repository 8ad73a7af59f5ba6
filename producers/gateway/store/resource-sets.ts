import type { Resource, ResourcesUpdated } from "../../../schemas/types.ts";
import { objectFields } from "./body.ts";
import { rawMembers } from "./raw.ts";
import { quoted, seconds } from "./text.ts";
import {
  asObject,
  asText,
  defaulted,
  type Fields,
  has,
  note,
  oneOf,
  optional,
  required,
} from "./validation.ts";

const engines = oneOf(["jinja", "f-string", "poml"] as const);
const kinds = ["llm", "proxy_llm", "prompt_template"];

/** The resources of a body, which is a map of them; mistakes are noted, unknown fields dropped. */
export function resourcesFrom(body: Fields): Resource[] {
  return Object.keys(body.value).flatMap((name) => {
    const value = body.value[name];
    const place = [...body.loc, name];
    const fields = objectFields(value, body.raw(name), place, body.issues);
    const kind = fields === null ? null : kindOf(body, name, fields.value);
    if (fields === null || kind === null) return [];
    const members = kind === "prompt_template" ? template(fields) : engine(fields);
    return [{ name, kind, json: `{${members.join(",")}}`, blob: null }];
  });
}

function kindOf(
  body: Fields,
  name: string,
  value: Readonly<Record<string, unknown>>,
): string | null {
  const kind = Object.hasOwn(value, "resource_type") ? value.resource_type : undefined;
  if (typeof kind === "string" && kinds.includes(kind)) return kind;
  const discriminator = "'resource_type'";
  if (kind === undefined) {
    const msg = `Unable to extract tag using discriminator ${discriminator}`;
    note(body, name, { type: "union_tag_not_found", msg, ctx: { discriminator } }, value);
    return null;
  }
  const expected_tags = kinds.map((one) => `'${one}'`).join(", ");
  const tag = (typeof kind === "string" ? kind : JSON.stringify(kind)).slice(0, 80);
  const msg = `Input tag '${tag}' found using ${discriminator} does not match any of the expected tags: ${expected_tags}`;
  const ctx = { discriminator, tag, expected_tags };
  note(body, name, { type: "union_tag_invalid", msg, ctx }, value);
  return null;
}

function engine(fields: Fields): string[] {
  required(fields, "endpoint", asText);
  required(fields, "model", asText);
  optional(fields, "api_key", asText);
  defaulted(fields, "sampling_parameters", asObject, {});
  return sentOf(fields, ["endpoint", "model", "api_key", "sampling_parameters"]);
}

function template(fields: Fields): string[] {
  required(fields, "template", asText);
  required(fields, "engine", engines);
  return sentOf(fields, ["template", "engine"]);
}

function sentOf(fields: Fields, names: readonly string[]): string[] {
  return names
    .filter((name) => has(fields, name))
    .map((name) => `${quoted(name)}:${fields.raw(name)}`);
}

/** The reference's `ResourcesUpdate` as JSON text. Weights are left out: its clients know no such kind. */
export function resourcesText(set: ResourcesUpdated): string {
  const members = set.resources
    .filter(({ kind }) => kinds.includes(kind))
    .map((resource) => `${quoted(resource.name)}:${resourceText(resource)}`);
  return `{"resources_id":${quoted(set.resources_id)},"create_time":${seconds(set.created_at)},"update_time":${seconds(set.updated_at)},"version":${set.version},"resources":{${members.join(",")}}}`;
}

function resourceText({ kind, json }: Resource): string {
  const sent = membersOf(json);
  const get = (name: string, fallback: string): string => sent.get(name) ?? fallback;
  if (kind === "prompt_template") {
    return `{"resource_type":"prompt_template","template":${get("template", '""')},"engine":${get("engine", '"jinja"')}}`;
  }
  return `{"resource_type":${quoted(kind)},"endpoint":${endpointOf(sent)},"model":${get("model", '""')},"api_key":${get("api_key", "null")},"sampling_parameters":${get("sampling_parameters", "{}")}}`;
}

/** The native API takes several endpoints, of which these clients see the first. */
function endpointOf(sent: ReadonlyMap<string, string>): string {
  const one = sent.get("endpoint");
  if (one !== undefined) return one;
  const [first] = JSON.parse(sent.get("endpoints") ?? "[]") as unknown[];
  return quoted(typeof first === "string" ? first : "");
}

function membersOf(json: string): ReadonlyMap<string, string> {
  try {
    JSON.parse(json);
    return rawMembers(json);
  } catch {
    // Written by a producer beside the gateway.
    return new Map();
  }
}
