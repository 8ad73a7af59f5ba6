import { Type, type TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { chosenCredit, chosenSelection } from "../choices.ts";
import type { Gateway } from "../context.ts";
import { projectOf } from "../project.ts";
import { CreditFields, closed, FreeObject } from "./fields.ts";
import { settingsView } from "./views.ts";

const Settings = Type.Object(
  {
    credit: Type.Optional(CreditFields),
    selection: Type.Optional(FreeObject),
    group_deadline_seconds: Type.Optional(Type.Number({ minimum: 0 })),
    grace_seconds: Type.Optional(Type.Number({ minimum: 0 })),
  },
  closed,
);

/** What a project chooses; rollouts enqueued afterwards carry it. What is left out stays as it is. */
export function settingsRoutes(plain: FastifyInstance, gateway: Gateway): void {
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  const { choices, resources } = gateway;

  scope.get("/settings", async (request) => settingsView(resources.settings(projectOf(request))));

  scope.put("/settings", { schema: { body: Settings } }, async (request) => {
    const project = projectOf(request);
    const before = resources.settings(project);
    const { credit, selection, group_deadline_seconds, grace_seconds } = request.body;
    const settings = await resources.configure(project, {
      credit: chosenCredit(choices, credit, before.credit),
      selection: chosenSelection(choices, selection, before.selection),
      group_deadline_seconds: group_deadline_seconds ?? before.group_deadline_seconds,
      grace_seconds: grace_seconds ?? before.grace_seconds,
    });
    return settingsView(settings);
  });
}
