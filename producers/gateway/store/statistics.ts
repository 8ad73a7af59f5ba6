import type { Gateway } from "../context.ts";
import { projectOf } from "../project.ts";
import { sendJson } from "./sending.ts";
import type { StoreRoute } from "./store-route.ts";

/** Exact counts as of the call, and whether anyone is there. */
export function statisticsRoutes(gateway: Gateway): readonly StoreRoute[] {
  const startedAt = performance.now();
  return [
    ["GET", "/health", async (_request, reply) => sendJson(reply, 200, '{"status":"ok"}')],
    [
      "GET",
      "/statistics",
      async (request, reply) => {
        const project = projectOf(request);
        const { rollouts, history, spans, resources, workers } = gateway;
        await Promise.all([rollouts.caughtUp(), resources.caughtUp(), workers.caughtUp()]);
        const live = rollouts.list(project);
        const ids = live.map((rollout) => rollout.rollout_id);
        const [past, total_spans] = await Promise.all([
          history.count(project, ids),
          spans.count(project),
        ]);
        const attempts = live.reduce((sum, rollout) => sum + rollout.attempts.length, 0);
        const counts = {
          name: "LightningStream",
          total_rollouts: live.length + past.rollouts,
          total_attempts: attempts + past.attempts,
          total_spans,
          total_resources: resources.list(project).length,
          total_workers: workers.list(project).length,
          uptime: (performance.now() - startedAt) / 1000,
        };
        return sendJson(reply, 200, JSON.stringify(counts));
      },
    ],
  ];
}
