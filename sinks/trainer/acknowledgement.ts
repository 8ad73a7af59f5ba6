import { LightningError } from "../../schemas/errors.ts";
import { maxRecordBytes } from "../../schemas/topics.ts";
import type { Resource, ResourcesUpdated } from "../../schemas/types.ts";
import { readFrame } from "./framing.ts";
import { type Fields, fieldsOf, invalid, isObject, join, textField } from "./input.ts";

/** What a worker says when it has trained a batch. */
export type Acknowledgement = {
  readonly metrics: Readonly<Record<string, number>>;
  readonly resources: GivenResources | null;
};

export type GivenResources = {
  /** Null: the set the batch ran with. */
  readonly resourcesId: string | null;
  readonly resources: readonly Resource[];
};

/**
 * `application/octet-stream` of an acknowledgement: the frame of framing.ts with "LSA1" and the JSON
 * body as header, where a resource's `blob` is `{offset, length}` into the bytes after the header.
 * The header needs no padding. In JSON bodies a blob is base64.
 */
export const acknowledgementMagic = "LSA1";

const kinds = ["llm", "proxy_llm", "prompt_template", "weights"];
const maxMetrics = 1000;

/** Reads either form; throws `request-invalid` naming the field. */
export function readAcknowledgement(body: unknown): Acknowledgement {
  if (!Buffer.isBuffer(body)) return acknowledgementOf(body, base64Blob);
  const { header, start } = readFrame(acknowledgementMagic, body);
  const blobs = body.subarray(start);
  return acknowledgementOf(header, (value, path) => slicedBlob(blobs, value, path));
}

type ReadBlob = (value: unknown, path: string) => Uint8Array;

function acknowledgementOf(body: unknown, readBlob: ReadBlob): Acknowledgement {
  const fields = fieldsOf(body, ["metrics", "resources"]);
  const given = fields.resources ?? null;
  return {
    metrics: metricsOf(fields.metrics ?? {}),
    resources: given === null ? null : resourcesOf(given, readBlob),
  };
}

function metricsOf(value: unknown): Record<string, number> {
  if (!isObject(value)) throw invalid("metrics", value, "an object of numbers");
  const entries = Object.entries(value);
  if (entries.length > maxMetrics) {
    throw invalid("metrics", entries.length, `${maxMetrics} numbers at most`);
  }
  for (const [name, number] of entries) {
    if (!Number.isFinite(number)) throw invalid(`metrics.${name}`, number, "a finite number");
  }
  return Object.fromEntries(entries) as Record<string, number>;
}

function resourcesOf(value: unknown, readBlob: ReadBlob): GivenResources {
  const fields = fieldsOf(value, ["resources_id", "resources"], "resources");
  const list = fields.resources;
  if (!Array.isArray(list) || list.length === 0) {
    throw invalid("resources.resources", list, "a list of one or more resources");
  }
  const resources = list.map((one: unknown, i) =>
    resourceOf(one, `resources.resources[${i}]`, readBlob),
  );
  const names = resources.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw invalid("resources.resources", twice, "every name once");
  }
  return { resourcesId: textField(fields, "resources_id") ?? null, resources };
}

function resourceOf(value: unknown, path: string, readBlob: ReadBlob): Resource {
  const fields: Fields = fieldsOf(value, ["name", "kind", "json", "blob"], path);
  const { name, kind, json = {}, blob = null } = fields;
  if (typeof name !== "string" || name.length === 0 || name.length > 200) {
    throw invalid(join(path, "name"), name, "a text of 1 to 200 characters");
  }
  if (typeof kind !== "string" || !kinds.includes(kind)) {
    throw invalid(join(path, "kind"), kind, kinds.join(", "));
  }
  if (!isObject(json)) throw invalid(join(path, "json"), json, "a JSON object");
  return {
    name,
    kind,
    json: JSON.stringify(json),
    blob: blob === null ? null : readBlob(blob, join(path, "blob")),
  };
}

function base64Blob(value: unknown, path: string): Uint8Array {
  if (
    typeof value !== "string" ||
    value.length % 4 !== 0 ||
    !/^[A-Za-z0-9+/]*={0,2}$/.test(value)
  ) {
    throw invalid(path, value, "base64 text");
  }
  return Buffer.from(value, "base64");
}

function slicedBlob(blobs: Buffer, value: unknown, path: string): Uint8Array {
  const { offset, length } = fieldsOf(value, ["offset", "length"], path);
  const fits =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    Number(offset) >= 0 &&
    Number(length) >= 0 &&
    Number(offset) + Number(length) <= blobs.length;
  if (!fits) throw invalid(path, value, `offset and length within ${blobs.length} bytes`);
  return blobs.subarray(Number(offset), Number(offset) + Number(length));
}

/**
 * The next version of a set: what the worker gave replaces resources of the same name, the others
 * stay. Throws `too-large` for what no record can hold.
 */
export function nextVersion(
  latest: ResourcesUpdated | undefined,
  given: readonly Resource[],
  about: {
    readonly project: string;
    readonly resourcesId: string;
    readonly batchId: string;
    /** Ms since epoch. */
    readonly now: number;
  },
): ResourcesUpdated {
  const names = new Set(given.map(({ name }) => name));
  const kept = (latest?.resources ?? []).filter(({ name }) => !names.has(name));
  const resources = [...kept, ...given];
  const bytes = resources.reduce(
    (sum, { json, blob }) => sum + Buffer.byteLength(json) + (blob?.length ?? 0),
    0,
  );
  if (bytes > maxResourceBytes) {
    throw new LightningError(
      "too-large",
      `resources: read ${bytes} bytes, allowed is ${maxResourceBytes}; put weights elsewhere and give uri and sha256 in json`,
      { field: "resources" },
    );
  }
  return {
    project: about.project,
    resources_id: about.resourcesId,
    version: (latest?.version ?? 0) + 1,
    created_at: latest?.created_at ?? about.now * 1000,
    updated_at: about.now * 1000,
    resources,
    batch_id: about.batchId,
    request_id: about.batchId,
  };
}

/** A record less room for what surrounds the resources. */
export const maxResourceBytes = maxRecordBytes - 256 * 1024;
