import { json, type LoopbackServer, loopback } from "./test-server.ts";

type Task = { id: string; input: unknown; attempt: string | null };

export type LoopbackGateway = LoopbackServer & {
  readonly queue: Task[];
  readonly ended: Map<string, { status: string; error: string | null }>;
  /** Statuses to answer the next requests with, before anything is done. */
  readonly troubles: number[];
  /** What happens at an end before it is answered. */
  onEnd: (rolloutId: string) => void;
};

/**
 * The other side of the native API, for tests of the client alone: one queue, request ids remembered.
 * Shapes as `producers/gateway/api` has them.
 */
export async function loopbackGateway(): Promise<LoopbackGateway> {
  const queue: Task[] = [];
  const ended: LoopbackGateway["ended"] = new Map();
  const answers = new Map<string, unknown>();
  const troubles: number[] = [];
  let made = 0;
  const claimed = (task: Task) => {
    task.attempt = `at-${task.id}`;
    const attempt = { attempt_id: task.attempt, sequence_id: 1, status: "preparing" };
    const rollout = { rollout_id: task.id, input: task.input, mode: "train", metadata: {} };
    return { ...rollout, attempts: [attempt] };
  };
  const handle = (path: string, body: Record<string, unknown>): unknown => {
    if (path.endsWith("/rollouts")) {
      return [claimed({ id: `ro-${++made}`, input: body.input, attempt: null })];
    }
    if (path.endsWith("/claim")) return queue.splice(0, Number(body.limit)).map(claimed);
    const rolloutId = path.split("/").at(-4) ?? "";
    if (path.endsWith("/end")) {
      gateway.onEnd(rolloutId);
      if (ended.has(rolloutId)) return undefined;
      ended.set(rolloutId, body as { status: string; error: string | null });
    }
    return {};
  };
  const server = await loopback(({ path, body }, response) => {
    const trouble = troubles.shift();
    const asked = JSON.parse(body.toString()) as Record<string, unknown>;
    const id = String(asked.request_id);
    const answer = answers.get(id) ?? handle(path, asked);
    answers.set(id, answer);
    if (trouble !== undefined)
      json(response, trouble, { error: { code: "overloaded", message: "" } });
    else if (answer !== undefined) json(response, 200, answer);
    else json(response, 409, { error: { code: "conflict", message: "ended before" } });
  });
  const gateway: LoopbackGateway = { ...server, queue, ended, troubles, onEnd: () => undefined };
  return gateway;
}
