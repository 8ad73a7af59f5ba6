import { Type, type TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import type { Resource, ResourcesUpdated } from "../../../schemas/types.ts";
import type { Gateway } from "../context.ts";
import { checkId, hexId } from "../ids.ts";
import { jsonField } from "../json.ts";
import { projectOf } from "../project.ts";
import { idParam, type RequestId, requestIdOf } from "./asking.ts";
import { closed, Id } from "./fields.ts";
import { resourcesView } from "./views.ts";

type ResourceBody = { kind: string; blob?: string } & Record<string, unknown>;

const kinds = ["llm", "proxy_llm", "prompt_template", "weights"];

const ResourceFields = Type.Unsafe<ResourceBody>({
  type: "object",
  required: ["kind"],
  properties: {
    kind: { type: "string", enum: kinds },
    endpoint: { type: "string" },
    endpoints: { type: "array", items: { type: "string" }, minItems: 1, maxItems: 1000 },
    model: { type: "string", minLength: 1 },
    api_key: { type: ["string", "null"] },
    sampling_parameters: { type: "object" },
    template: { type: "string" },
    engine: { type: "string", enum: ["jinja", "f-string", "poml"] },
    uri: { type: "string" },
    sha256: { type: "string" },
    blob: { type: "string", pattern: "^[A-Za-z0-9+/]*={0,2}$" },
  },
});

const ResourceSet = Type.Object(
  {
    resources: Type.Unsafe<Record<string, ResourceBody>>({
      type: "object",
      additionalProperties: ResourceFields,
      maxProperties: 1000,
    }),
    request_id: Type.Optional(Id),
  },
  closed,
);

/** Versioned resource sets: prompt templates, LLM endpoints, policy weights. */
export function resourceRoutes(scope: FastifyInstance, gateway: Gateway): void {
  publishRoutes(scope, gateway);

  scope.get("/resources", async (request) =>
    gateway.resources.list(projectOf(request)).map(resourcesView),
  );

  scope.get("/resources/latest", async (request) => {
    const project = projectOf(request);
    const set = gateway.resources.latest(project);
    if (set !== undefined) return resourcesView(set);
    throw new LightningError("not-found", `project ${project} has no resources`);
  });

  scope.get("/resources/:resources", async (request) => {
    const project = projectOf(request);
    const resourcesId = idParam(request, "resources");
    const set = gateway.resources.get(project, resourcesId);
    if (set !== undefined) return resourcesView(set);
    const message = `resource set ${JSON.stringify(resourcesId)} is not in project ${project}`;
    throw new LightningError("not-found", message, { field: "resources" });
  });
}

function publishRoutes(plain: FastifyInstance, gateway: Gateway): void {
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  const publish = (
    project: string,
    resourcesId: string,
    body: Record<string, ResourceBody>,
    asked: RequestId,
  ): Promise<ResourcesUpdated> =>
    gateway.resources.publish(project, resourcesId, Object.entries(body).map(resourceOf), asked.id);

  scope.put("/resources", { schema: { body: ResourceSet } }, async (request, reply) => {
    const project = projectOf(request);
    const asked = requestIdOf(request, request.body.request_id, "resources");
    const resourcesId = `rs-${hexId(12, asked.given ? [project, asked.id] : null)}`;
    const set = await publish(project, resourcesId, request.body.resources, asked);
    return reply.code(201).send(resourcesView(set));
  });

  scope.put("/resources/:resources", { schema: { body: ResourceSet } }, async (request) => {
    const asked = requestIdOf(request, request.body.request_id, "resources");
    const resourcesId = idParam(request, "resources");
    if (resourcesId === "latest") throw reserved();
    return resourcesView(
      await publish(projectOf(request), resourcesId, request.body.resources, asked),
    );
  });
}

function reserved(): LightningError {
  const message = 'resources: read "latest", which stands for the newest set: choose another id';
  return new LightningError("request-invalid", message, { field: "resources" });
}

function resourceOf([name, body]: [string, ResourceBody]): Resource {
  const path = `resources.${checkId(name, "resources")}`;
  const { kind, blob, ...fields } = body;
  if (kind === "llm" || kind === "proxy_llm") checkEngine(fields, path);
  if (kind === "prompt_template") must(typeof fields.template === "string", path, "template");
  if (kind === "weights") must(typeof fields.uri === "string" || blob !== undefined, path, "uri");
  const bytes = blob === undefined ? null : Buffer.from(blob, "base64");
  return { name, kind, json: jsonField(fields, path), blob: bytes };
}

function checkEngine(fields: Readonly<Record<string, unknown>>, path: string): void {
  must(typeof fields.model === "string", path, "model");
  const { endpoint, endpoints } = fields;
  const urls = Array.isArray(endpoints) ? endpoints : [endpoint];
  for (const url of urls) {
    must(url !== undefined, path, "endpoint");
    if (typeof url === "string" && URL.canParse(url) && /^https?:/i.test(url)) continue;
    const field = `${path}.endpoint`;
    const message = `${field}: read ${JSON.stringify(url).slice(0, 80)}, allowed is an http or https URL`;
    throw new LightningError("request-invalid", message, { field });
  }
}

function must(holds: boolean, path: string, name: string): void {
  if (holds) return;
  const field = `${path}.${name}`;
  throw new LightningError("request-invalid", `${field}: is missing`, { field });
}
