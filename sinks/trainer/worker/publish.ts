import { LightningError, messageOf } from "../../../schemas/errors.ts";
import type { WorkerResource } from "./batches.ts";
import { createPolicy, load, type Policy, serialize } from "./policy.ts";
import type { Served } from "./serve.ts";

/** Set that a worker's resources are in; workers of several policies share it, as rollouts run with one. */
export const resourceSet = "policy";

/** Names of a worker's own resources in the set. */
export type ResourceNames = { readonly llm: string; readonly weights: string };

export type Publisher = {
  /** Base URL of a gateway, with `/projects/<name>` for a project other than `default`. */
  readonly gatewayUrl: string;
  /** Where agents reach the model, `…/v1`. */
  readonly endpoint: string;
  readonly model: string;
  readonly names: ResourceNames;
  /** Seed of the random policy it starts from when the log has none. */
  readonly seed: number;
};

/** A policy is the name of its engine, so that agents ask for it as their model; its weights are beside it. */
export function resourceNames(policy: string | null): ResourceNames {
  return policy === null || policy === ""
    ? { llm: "main_llm", weights: "weights" }
    : { llm: policy, weights: `${policy}.weights` };
}

export function resourcesOf(publisher: Publisher, policy: Policy): WorkerResource[] {
  const { endpoint, model, names } = publisher;
  return [
    { name: names.llm, kind: "llm", json: { endpoint, model } },
    {
      name: names.weights,
      kind: "weights",
      json: { format: "lightning-policy-1" },
      blob: serialize(policy),
    },
  ];
}

/**
 * The policy in the log, or a random one; published with our endpoint, so that agents find us.
 *
 * @throws LightningError `engine-unavailable` when the gateway does not answer.
 */
export async function startPolicy(publisher: Publisher): Promise<Served> {
  const set = await fetchSet(publisher);
  const blob = set?.resources[publisher.names.weights]?.blob;
  const policy =
    blob === undefined ? createPolicy(publisher.seed) : load(Buffer.from(blob, "base64"));
  return { policy, version: await publish(publisher, policy, set) };
}

/**
 * Where several workers share the set, each looks into it now and then: versions that the others
 * make hold our policy too, so that what it generates is not taken for older than it is; and when two
 * started at once, one has overwritten the other, which then publishes its resources again.
 */
export async function keepPublished(publisher: Publisher, served: Served): Promise<void> {
  const set = await fetchSet(publisher);
  const { llm, weights } = publisher.names;
  const isThere =
    set?.resources[llm]?.endpoint === publisher.endpoint &&
    set.resources[weights]?.blob !== undefined;
  const { policy } = served;
  const version = isThere ? set.version : await publish(publisher, policy, set);
  served.version = Math.max(served.version, version);
}

type ResourceSet = {
  readonly version: number;
  readonly resources: Readonly<Record<string, { endpoint?: string; blob?: string }>>;
};

async function fetchSet(publisher: Publisher): Promise<ResourceSet | null> {
  const answer = await ask(publisher, { method: "GET" });
  return answer === null ? null : ((await answer.json()) as ResourceSet);
}

/** Puts our resources in the place of those of the same names; the others stay. The new version. */
async function publish(
  publisher: Publisher,
  policy: Policy,
  set: ResourceSet | null,
): Promise<number> {
  const own = resourcesOf(publisher, policy).map(({ name, kind, json, blob }) => [
    name,
    {
      kind,
      ...json,
      ...(blob === undefined ? {} : { blob: Buffer.from(blob).toString("base64") }),
    },
  ]);
  const answer = await ask(publisher, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ resources: { ...set?.resources, ...Object.fromEntries(own) } }),
  });
  if (answer === null) throw unavailable(`${resourceSet} cannot be published`, undefined);
  const { version } = (await answer.json()) as { version: number };
  return version;
}

/** What the gateway says of the set; null: it does not know it. */
async function ask({ gatewayUrl }: Publisher, init: RequestInit): Promise<Response | null> {
  const url = `${gatewayUrl}/api/v1/resources/${resourceSet}`;
  const about = `${init.method} ${url}`;
  const answer = await fetch(url, init).catch((error: unknown) => {
    throw unavailable(`${about}: ${messageOf(error)}`, error);
  });
  if (answer.status === 404) return null;
  if (answer.ok) return answer;
  throw unavailable(`${about} answered ${answer.status}: ${await answer.text()}`, undefined);
}

function unavailable(message: string, cause: unknown): LightningError {
  return new LightningError("engine-unavailable", message, { cause });
}
