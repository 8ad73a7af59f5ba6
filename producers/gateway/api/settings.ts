import { Type, type TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import type { Gateway } from "../context.ts";
import { projectOf } from "../project.ts";
import { closed } from "./fields.ts";
import { settingsView } from "./views.ts";

// The schema depends on what the deployment can do, so its type is inferred.
function settingsBody(strategies: readonly string[]) {
  return Type.Object(
    {
      credit: Type.Optional(
        Type.Object(
          {
            strategy: Type.Unsafe<string>({ type: "string", enum: [...strategies] }),
            parameters: Type.Optional(
              Type.Unsafe<Record<string, number>>({
                type: "object",
                additionalProperties: { type: "number" },
                maxProperties: 100,
              }),
            ),
          },
          closed,
        ),
      ),
      group_deadline_seconds: Type.Optional(Type.Number({ minimum: 0 })),
      grace_seconds: Type.Optional(Type.Number({ minimum: 0 })),
    },
    closed,
  );
}

/** What a project chooses; rollouts enqueued afterwards carry it. */
export function settingsRoutes(plain: FastifyInstance, gateway: Gateway): void {
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  const Settings = settingsBody(gateway.strategies);

  scope.get("/settings", async (request) =>
    settingsView(gateway.resources.settings(projectOf(request))),
  );

  scope.put("/settings", { schema: { body: Settings } }, async (request) => {
    const project = projectOf(request);
    const before = gateway.resources.settings(project);
    const { credit, group_deadline_seconds, grace_seconds } = request.body;
    const settings = await gateway.resources.configure(project, {
      credit:
        credit === undefined
          ? before.credit
          : { strategy: credit.strategy, parameters: credit.parameters ?? {} },
      group_deadline_seconds: group_deadline_seconds ?? before.group_deadline_seconds,
      grace_seconds: grace_seconds ?? before.grace_seconds,
    });
    return settingsView(settings);
  });
}
