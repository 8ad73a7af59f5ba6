import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from "fastify";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { compatibilityLevels, type SchemasLog, type SchemaVersion } from "./registry-records.ts";
import { openStore, type RegistryStore, registryError } from "./registry-store.ts";

export type RegistryOptions = {
  readonly log: SchemasLog;
  readonly logger: FastifyBaseLogger;
};

const contentType = "application/vnd.schemaregistry.v1+json";

/**
 * A schema registry with Confluent's REST API for Avro, which keeps its schemas in Confluent's record
 * format, so that either can take the topic over from the other. Any number may run on one topic.
 * Returns when it has read the topic.
 */
export async function buildRegistry({ log, logger }: RegistryOptions): Promise<FastifyInstance> {
  const store = await openStore(log);
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 8 * 1024 * 1024,
    // Subjects may hold slashes, which come percent-encoded.
    routerOptions: { maxParamLength: 1024 },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    /^application\/([\w.]+\+)?(json|octet-stream)/,
    { parseAs: "string" },
    (_request, body, done) => parseBody(String(body), done),
  );
  app.addHook("onSend", async (_request, reply, payload) => {
    reply.header("content-type", contentType);
    return payload;
  });
  app.addHook("onClose", () => store.close());
  app.setErrorHandler((error, request, reply) => {
    const { status, body } = errorBody(error);
    if (status >= 500) request.log.error({ err: error }, "registry request failed");
    return reply.status(status).send(body);
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.status(404).send({ error_code: 404, message: "HTTP 404 Not Found" }),
  );
  addSubjectRoutes(app, store);
  addSchemaRoutes(app, store);
  addConfigRoutes(app, store);
  return app;
}

function parseBody(text: string, done: (error: Error | null, body?: unknown) => void): void {
  try {
    done(null, text === "" ? {} : JSON.parse(text));
  } catch {
    done(registryError(400, "Unrecognized token: the body is not JSON"));
  }
}

function errorBody(error: unknown): { status: number; body: object } {
  const own = error instanceof LightningError ? error.fields.errorCode : undefined;
  const thrown = (error as { statusCode?: unknown }).statusCode;
  const code = typeof own === "number" ? own : typeof thrown === "number" ? thrown : 50001;
  const status = Number(String(code).slice(0, 3));
  return { status, body: { error_code: code, message: messageOf(error) } };
}

type Params = { readonly subject: string; readonly version: string; readonly id: string };

function paramsOf(request: FastifyRequest): Params {
  return request.params as Params;
}

/** Whether a query parameter is `true`. */
function asks(request: FastifyRequest, name: string): boolean {
  return (request.query as Record<string, unknown>)[name] === "true";
}

function schemaIn(request: FastifyRequest): string {
  const body = (request.body ?? {}) as Record<string, unknown>;
  const { schema, schemaType = "AVRO", references } = body;
  if (schemaType !== "AVRO") throw registryError(42201, `Invalid schema type ${schemaType}`);
  if (Array.isArray(references) && references.length > 0) {
    throw registryError(42201, "Invalid schema: references are not supported by this registry");
  }
  if (typeof schema !== "string" || schema === "") throw registryError(42201, "Empty schema");
  return schema;
}

function subjectNotFound(subject: string): LightningError {
  return registryError(40401, `Subject '${subject}' not found.`);
}

function findSubject(store: RegistryStore, subject: string, withDeleted: boolean): SchemaVersion[] {
  const versions = store.state.versions(subject, withDeleted);
  if (versions.length === 0) throw subjectNotFound(subject);
  return versions;
}

function findVersion(
  store: RegistryStore,
  { subject, version }: Params,
  withDeleted: boolean,
): SchemaVersion {
  const latest = version === "latest" || version === "-1";
  const number = Number(version);
  if (!latest && !(Number.isInteger(number) && number > 0)) {
    throw registryError(
      42202,
      `The specified version '${version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string "latest"`,
    );
  }
  const versions = findSubject(store, subject, withDeleted);
  const found = latest ? versions.at(-1) : versions.find((v) => v.version === number);
  if (found === undefined) throw registryError(40402, `Version ${version} not found.`);
  return found;
}

function shown({ subject, version, id, schema }: SchemaVersion): object {
  return { subject, version, id, schema };
}

function addSubjectRoutes(app: FastifyInstance, store: RegistryStore): void {
  app.get("/", async () => ({}));
  app.get("/subjects", async (request) => store.state.subjects(asks(request, "deleted")));
  app.post("/subjects/:subject", async (request) => {
    const { subject } = paramsOf(request);
    const withDeleted = asks(request, "deleted");
    const schema = schemaIn(request);
    findSubject(store, subject, withDeleted);
    const found = store.state.find(subject, schema, withDeleted);
    if (found === undefined) throw registryError(40403, "Schema not found");
    return shown(found);
  });
  app.delete("/subjects/:subject", async (request) => {
    const { subject } = paramsOf(request);
    const permanently = asks(request, "permanent");
    const versions = findSubject(store, subject, permanently);
    if (permanently && versions.some((v) => !v.deleted)) {
      throw registryError(
        40405,
        `Subject '${subject}' was not deleted first before being permanently deleted`,
      );
    }
    return store.deleteSubject(subject, permanently);
  });
  addVersionRoutes(app, store);
}

function addVersionRoutes(app: FastifyInstance, store: RegistryStore): void {
  app.get("/subjects/:subject/versions", async (request) =>
    findSubject(store, paramsOf(request).subject, asks(request, "deleted")).map((v) => v.version),
  );
  app.post("/subjects/:subject/versions", async (request) => {
    const { id } = await store.register(paramsOf(request).subject, schemaIn(request));
    return { id };
  });
  app.get("/subjects/:subject/versions/:version", async (request) =>
    shown(findVersion(store, paramsOf(request), asks(request, "deleted"))),
  );
  app.get("/subjects/:subject/versions/:version/schema", async (request, reply) => {
    const { schema } = findVersion(store, paramsOf(request), asks(request, "deleted"));
    return reply.serializer(String).send(schema);
  });
  app.delete("/subjects/:subject/versions/:version", async (request) => {
    const permanently = asks(request, "permanent");
    const found = findVersion(store, paramsOf(request), permanently);
    if (permanently && !found.deleted) {
      throw registryError(
        40407,
        `Subject '${found.subject}' Version ${found.version} was not deleted first before being permanently deleted`,
      );
    }
    await store.deleteVersion(found, permanently);
    return reply200(found.version);
  });
}

/** Fastify takes a bare number for a payload that is already serialised. */
function reply200(value: number): string {
  return String(value);
}

function addSchemaRoutes(app: FastifyInstance, store: RegistryStore): void {
  const schemaOf = (request: FastifyRequest) => {
    const { id } = paramsOf(request);
    const schema = store.state.schema(Number(id));
    if (schema === undefined) throw registryError(40403, `Schema ${id} not found`);
    return { id: Number(id), schema };
  };
  app.get("/schemas/types", async () => ["AVRO"]);
  app.get("/schemas/ids/:id", async (request) => ({ schema: schemaOf(request).schema }));
  app.get("/schemas/ids/:id/schema", async (request, reply) =>
    reply.serializer(String).send(schemaOf(request).schema),
  );
  app.get("/schemas/ids/:id/subjects", async (request) => {
    const uses = store.state.uses(schemaOf(request).id);
    return [...new Set(uses.map(({ subject }) => subject))];
  });
  app.get("/schemas/ids/:id/versions", async (request) =>
    store.state.uses(schemaOf(request).id).map(({ subject, version }) => ({ subject, version })),
  );
  const compatibility = async (request: FastifyRequest) => {
    const params = paramsOf(request);
    const schema = schemaIn(request);
    const one = params.version === undefined ? undefined : findVersion(store, params, false);
    const messages = store.check(params.subject, schema, one);
    const verbose = asks(request, "verbose") ? { messages } : {};
    return { is_compatible: messages.length === 0, ...verbose };
  };
  app.post("/compatibility/subjects/:subject/versions/:version", compatibility);
  app.post("/compatibility/subjects/:subject/versions", compatibility);
}

function addConfigRoutes(app: FastifyInstance, store: RegistryStore): void {
  const subjectOf = (request: FastifyRequest) => paramsOf(request).subject ?? null;
  const read = async (request: FastifyRequest) => {
    const subject = subjectOf(request);
    const own = store.state.ownLevel(subject);
    if (own !== undefined || subject === null) return { compatibilityLevel: own };
    if (asks(request, "defaultToGlobal"))
      return { compatibilityLevel: store.state.levelOf(subject) };
    throw registryError(
      40408,
      `Subject '${subject}' does not have subject-level compatibility configured`,
    );
  };
  const write = async (request: FastifyRequest) => {
    const asked = (request.body as Record<string, unknown>)?.compatibility;
    const level = compatibilityLevels.find((l) => l === String(asked).toUpperCase());
    if (level === undefined) {
      throw registryError(
        42203,
        `Invalid compatibility level. Valid values are ${compatibilityLevels.join(", ")}`,
      );
    }
    await store.configure(subjectOf(request), level);
    return { compatibility: level };
  };
  app.get("/config", read);
  app.put("/config", write);
  app.get("/config/:subject", read);
  app.put("/config/:subject", write);
  app.delete("/config/:subject", async (request) => {
    const { subject } = paramsOf(request);
    const own = store.state.ownLevel(subject);
    if (own === undefined) throw registryError(40401, `Subject '${subject}' not found.`);
    await store.configure(subject, undefined);
    return { compatibilityLevel: own };
  });
  const mode = async () => ({ mode: "READWRITE" });
  app.get("/mode", mode);
  app.get("/mode/:subject", mode);
}
