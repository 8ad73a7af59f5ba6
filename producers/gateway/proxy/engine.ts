import { createHash } from "node:crypto";
import { LightningError } from "../../../schemas/errors.ts";
import type { ResourcesUpdated } from "../../../schemas/types.ts";
import { type Json, listOf, objectOf, parsedObject, textOf } from "./reading.ts";
import type { ProxySettings } from "./settings.ts";

/** An LLM a rollout may call: a resource of kind `llm` or `proxy_llm`. */
export type Engine = {
  /** Name of the resource. */
  readonly name: string;
  /** Model the engine knows. */
  readonly model: string;
  /** Base URLs, usually ending in /v1, without a slash at the end. */
  readonly endpoints: readonly string[];
  readonly apiKey: string | null;
  /** What the algorithm wants sampled with; wins over what the agent asked for. */
  readonly sampling: Json;
  readonly returnTokenIds: boolean;
  readonly logprobs: boolean;
};

/** The LLMs in a resource set. */
export function enginesOf(set: ResourcesUpdated, settings: ProxySettings): Engine[] {
  return set.resources.flatMap(({ name, kind, json }): Engine[] => {
    if (kind !== "llm" && kind !== "proxy_llm") return [];
    const fields = parsedObject(json) ?? {};
    const several = listOf(fields.endpoints).flatMap((url) => textOf(url) ?? []);
    const only = textOf(fields.endpoint);
    const endpoints = several.length > 0 ? several : only === null ? [] : [only];
    if (endpoints.length === 0) return [];
    return [
      {
        name,
        model: textOf(fields.model) ?? name,
        endpoints: endpoints.map((url) => url.replace(/\/+$/, "")),
        apiKey: textOf(fields.api_key),
        sampling: objectOf(fields.sampling_parameters) ?? {},
        returnTokenIds: flag(fields.return_token_ids, settings.returnTokenIds),
        logprobs: flag(fields.logprobs, settings.logprobs),
      },
    ];
  });
}

function flag(value: unknown, otherwise: boolean): boolean {
  return typeof value === "boolean" ? value : otherwise;
}

/** The engine a call is for: the only one, or the one whose name or model was asked for. */
export function chooseEngine(engines: readonly Engine[], model: string | null): Engine {
  const [only] = engines;
  if (only === undefined) {
    throw new LightningError(
      "not-found",
      "the rollout's resources have no llm or proxy_llm with an endpoint: publish one with PUT /api/v1/resources",
      { field: "resources" },
    );
  }
  if (engines.length === 1) return only;
  const chosen =
    engines.find(({ name }) => name === model) ?? engines.find((engine) => engine.model === model);
  if (chosen !== undefined) return chosen;
  const allowed = engines.flatMap(({ name, model: known }) => [name, known]);
  throw new LightningError(
    model === null ? "request-invalid" : "not-found",
    `model: read ${JSON.stringify(model?.slice(0, 80) ?? null)}, allowed are ${[...new Set(allowed)].join(", ")}`,
    { field: "model" },
  );
}

/**
 * Endpoint of a try. A rollout keeps to one, whose prefix cache then knows its conversation; the
 * next try goes to the next one.
 */
export function endpointFor(engine: Engine, rolloutId: string, attempt: number): string {
  const { endpoints } = engine;
  const first = createHash("sha256").update(rolloutId).digest().readUInt32BE(0);
  return endpoints[(first + attempt) % endpoints.length] ?? "";
}

/** The body an engine gets: the agent's, with the model it knows and what training needs. */
export function engineBody(engine: Engine, path: string, asked: Json): Json {
  const { model, sampling } = engine;
  const isChat = path === "chat/completions";
  const streams = asked.stream === true;
  return {
    ...asked,
    ...sampling,
    model,
    ...(engine.returnTokenIds && { return_token_ids: true }),
    ...(engine.logprobs && { logprobs: isChat ? true : wantedLogprobs(asked) }),
    ...(streams && { stream_options: { include_usage: true, ...objectOf(asked.stream_options) } }),
  };
}

/** The older API counts alternatives instead: one is enough for the token sampled. */
function wantedLogprobs(asked: Json): number {
  return typeof asked.logprobs === "number" && asked.logprobs > 0 ? asked.logprobs : 1;
}
