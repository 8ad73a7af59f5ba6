import type { FastifyRequest } from "fastify";
import { LightningError } from "../../schemas/errors.ts";
import { isProjectName } from "../../schemas/topics.ts";

/** Project of a request: what its path says after `/projects/`, else `default`. */
export function projectOf(request: FastifyRequest): string {
  const { project } = request.params as { project?: string };
  if (project === undefined) return "default";
  if (isProjectName(project)) return project;
  throw new LightningError(
    "request-invalid",
    `project: read ${JSON.stringify(project.slice(0, 80))}, allowed are letters, digits, dot, underscore and dash, at most 64`,
    { field: "project" },
  );
}
