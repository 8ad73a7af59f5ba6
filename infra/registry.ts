import { COMPATIBILITY, SchemaRegistry, SchemaType } from "@kafkajs/confluent-schema-registry";
import type { Logger } from "pino";
import type { SchemaIds } from "../schemas/codec.ts";
import { LightningError, messageOf } from "../schemas/errors.ts";

export type RegistrySettings = {
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  /** How long an id nobody knows is not asked for again, ms. */
  readonly negativeMs?: number;
};

type Failure = { status?: number; name?: string };

/**
 * Schema ids over the registry's REST API. The library underneath asks again for every failed
 * lookup and for every record that misses at the same time (its issues #301, #247): here each
 * question is asked once at a time, and an unknown id is remembered as unknown for a while.
 */
export function createRegistryClient(settings: RegistrySettings, logger: Logger): SchemaIds {
  const registry = new SchemaRegistry({
    host: settings.url,
    retry: { retries: 2, initialRetryTimeInSecs: 0.05, maxRetryTimeInSecs: 1 },
    ...(settings.user === undefined || settings.user === ""
      ? {}
      : { auth: { username: settings.user, password: settings.password ?? "" } }),
  });
  const negativeMs = settings.negativeMs ?? 30_000;
  const inFlight = new Map<string, Promise<unknown>>();
  const unknownUntil = new Map<number, number>();

  function once<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const running = inFlight.get(key) as Promise<T> | undefined;
    if (running !== undefined) return running;
    const asked = ask().finally(() => inFlight.delete(key));
    inFlight.set(key, asked);
    return asked;
  }

  return {
    idOf: (subject, schema) =>
      once(`subject ${subject}`, async () => {
        try {
          return await lookUpOrRegister(registry, settings, subject, schema);
        } catch (error) {
          throw classify(error, `registering ${subject}`, settings.url);
        }
      }),

    schemaOf: (id) =>
      once(`id ${id}`, async () => {
        const until = unknownUntil.get(id);
        if (until !== undefined && Date.now() < until) throw unknown(id);
        try {
          const schema = await registry.getSchema(id);
          // An avsc type; its JSON is the schema, as JSON.stringify asks for it.
          return JSON.stringify(schema);
        } catch (error) {
          const failed = classify(error, `looking up schema ${id}`, settings.url);
          if (failed.code !== "not-found") throw failed;
          unknownUntil.set(id, Date.now() + negativeMs);
          logger.warn({ schemaId: id }, "no such schema in the registry");
          throw unknown(id);
        }
      }),
  };
}

/** Looks the schema up first: agents of a locked registry may read it and nothing else. */
async function lookUpOrRegister(
  registry: SchemaRegistry,
  settings: RegistrySettings,
  subject: string,
  schema: string,
): Promise<number> {
  try {
    return await registry.getRegistryIdBySchema(subject, { type: SchemaType.AVRO, schema });
  } catch (error) {
    // The library's own class, which it throws here for a 404 alone, and without the status.
    if ((error as Failure).name !== "ConfluentSchemaRegistryError") throw error;
  }
  for (let attempt = 1; ; attempt++) {
    const compatibility = (await levelOf(settings, subject)) ?? COMPATIBILITY.BACKWARD_TRANSITIVE;
    try {
      const options = { subject, compatibility };
      return (await registry.register({ type: SchemaType.AVRO, schema }, options)).id;
    } catch (error) {
      // Another process made the subject meanwhile, and its level is not what we asked a moment ago.
      if ((error as Failure).name !== levelMismatch || attempt === 3) throw error;
    }
  }
}

const levelMismatch = "ConfluentSchemaRegistryCompatibilityError";

/**
 * The compatibility somebody chose for a subject, or undefined. The library refuses to register
 * where it is not the one it was told to expect; whoever runs the registry decides, not we.
 */
async function levelOf(
  { url, user, password }: RegistrySettings,
  subject: string,
): Promise<COMPATIBILITY | undefined> {
  const credentials = Buffer.from(`${user}:${password ?? ""}`).toString("base64");
  const response = await fetch(
    `${url.replace(/\/+$/, "")}/config/${encodeURIComponent(subject)}`,
    user === undefined || user === "" ? {} : { headers: { authorization: `Basic ${credentials}` } },
  );
  if (!response.ok) {
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw Object.assign(new Error(`/config answered ${response.status}`), {
      status: response.status,
    });
  }
  const { compatibilityLevel } = (await response.json()) as { compatibilityLevel?: string };
  return Object.values(COMPATIBILITY).find((level) => level === compatibilityLevel?.toUpperCase());
}

function unknown(id: number): LightningError {
  return new LightningError("schema-unknown", `the registry knows no schema ${id}`, {
    schemaId: id,
  });
}

function classify(error: unknown, doing: string, url: string): LightningError {
  const { status, name } = error as Failure;
  const fields = { cause: error, status, url };
  if (status === 404) return new LightningError("not-found", `${doing}: not found`, fields);
  if (status === 409 || name === levelMismatch) {
    return new LightningError("schema-incompatible", `${doing}: ${messageOf(error)}`, fields);
  }
  if (status === 401 || status === 403) {
    return new LightningError(
      "config-invalid",
      `${doing}: ${url} answered ${status}: check SCHEMA_REGISTRY_USER and SCHEMA_REGISTRY_PASSWORD`,
      fields,
    );
  }
  return new LightningError(
    "registry-unavailable",
    `${doing}: ${url}: ${messageOf(error)}`,
    fields,
  );
}
