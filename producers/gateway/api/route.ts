import type { FastifyInstance } from "fastify";
import type { Gateway } from "../context.ts";
import { readJsonBodies } from "../json.ts";
import { attemptRoutes } from "./attempts.ts";
import { resourceRoutes } from "./resources.ts";
import { rolloutRoutes } from "./rollouts.ts";
import { settingsRoutes } from "./settings.ts";
import { sqlRoutes } from "./sql.ts";

/** The native API: JSON in and out, for agents in any language and for people with curl. */
export function apiRoutes(gateway: Gateway): (scope: FastifyInstance) => Promise<void> {
  return async (scope) => {
    readJsonBodies(scope, gateway.bodyLimits);
    rolloutRoutes(scope, gateway);
    attemptRoutes(scope, gateway);
    resourceRoutes(scope, gateway);
    settingsRoutes(scope, gateway);
    sqlRoutes(scope, gateway);
  };
}
