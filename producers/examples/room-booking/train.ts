import { bookRoom, type Model } from "./agent.ts";
import { type Claimed, type GatewayClient, gatewayClient } from "./gateway-client.ts";
import { grade } from "./grade.ts";
import { generateTasks, type Task } from "./tasks.ts";

export type TrainingOptions = {
  /** Base URL of a gateway, with `/projects/<name>` for a project other than `default`. */
  readonly gatewayUrl: string;
  readonly seed: number;
  /** Rounds at most; each enqueues `groups` × `groupSize` rollouts. */
  readonly rounds: number;
  readonly groups: number;
  readonly groupSize: number;
  readonly heldOut: number;
  /** Rounds after which the held-out tasks are tried in any case. */
  readonly measureEvery: number;
  /** Mean held-out reward at which it has learned. */
  readonly target: number;
  /** Rollouts that run at the same time. */
  readonly concurrency: number;
  /** Wait for a new policy after each round; false: nobody trains. */
  readonly training: boolean;
  /** A real model in place of the one that learns. */
  readonly model?: Model;
  readonly signal: AbortSignal;
  onProgress(progress: Progress): void;
};

/** How far the training is; rewards are means over rollouts that ran here. */
export type Progress = {
  readonly round: number;
  readonly rollouts: number;
  /** Version of the policy the held-out tasks ran with. */
  readonly version: number | null;
  readonly trainReward: number | null;
  /** Null in a round in which they were not tried. */
  readonly heldOutReward: number | null;
};

const greedy = 0;
const explorationCost = 0.12;
const newVersionWithinMs = 20_000;

/**
 * Trains the room-booking agent through a gateway until it has learned: enqueues tasks, runs agents
 * on what it claims, grades them and reports the reward; the rest (assembling, credit, training, new
 * weights) happens elsewhere. Held-out tasks measure before, between and after. Aborted, it lets the
 * agents under way finish and returns.
 */
export async function trainRoomBooking(options: TrainingOptions): Promise<void> {
  const gateway = gatewayClient(options.gatewayUrl);
  const tasks = generateTasks(options.seed, 400, options.heldOut);
  const workers = startAgents(gateway, options);
  // Rollouts of an earlier run may still wait in the queue: the agents finish those as well.
  try {
    let rollouts = 0;
    const report = (
      round: number,
      version: number | null,
      trainReward: number | null,
      heldOutReward: number | null,
    ): void => options.onProgress({ round, rollouts, version, trainReward, heldOutReward });
    let heldOut = await measure(gateway, workers, options, tasks.heldOut, (version, reward) =>
      report(0, version, null, reward),
    );
    for (
      let round = 1;
      round <= options.rounds && heldOut < options.target && !options.signal.aborted;
      round++
    ) {
      const before = await gateway.policyVersion();
      const chosen = pick(tasks.train, options.groups, options.seed * 7919 + before * 31 + round);
      const requests = chosen.flatMap((task) => groupOf(task, options.groupSize));
      const trainReward = mean(await runAll(gateway, workers, requests)) ?? 0;
      rollouts += requests.length;
      if (options.training) await gateway.policyAfter(before, newVersionWithinMs);
      // Exploring costs reward: held-out tasks, tried without it, do better than the training shows.
      const isPromising = trainReward >= options.target - explorationCost;
      if (!isPromising && round % options.measureEvery !== 0 && round !== options.rounds) {
        report(round, await gateway.policyVersion(), trainReward, null);
        continue;
      }
      heldOut = await measure(gateway, workers, options, tasks.heldOut, (version, reward) =>
        report(round, version, trainReward, reward),
      );
    }
  } catch (error) {
    if (!options.signal.aborted) throw error;
  } finally {
    await workers.stop();
  }
}

type Enqueue = Parameters<GatewayClient["enqueue"]>[0][number];

function groupOf(task: Task, size: number): Enqueue[] {
  const group = `${task.id}-${crypto.randomUUID().slice(0, 8)}`;
  return Array.from({ length: size }, () => ({
    input: task,
    mode: "train",
    group_id: group,
    group_size: size,
    config: limits,
  }));
}

/** A lost agent's rollout is tried again. */
const limits = { timeout_seconds: 60, max_attempts: 3, retry_condition: ["failed", "timeout"] };

async function measure(
  gateway: GatewayClient,
  workers: Agents,
  options: TrainingOptions,
  tasks: readonly Task[],
  onMeasured: (version: number | null, reward: number) => void,
): Promise<number> {
  const version = options.model === undefined ? await gateway.policyVersion() : null;
  const requests = tasks.map((task): Enqueue => ({ input: task, mode: "val", config: limits }));
  const reward = mean(await runAll(gateway, workers, requests)) ?? 0;
  onMeasured(version, reward);
  return reward;
}

async function runAll(
  gateway: GatewayClient,
  workers: Agents,
  requests: readonly Enqueue[],
): Promise<number[]> {
  const enqueued = await gateway.enqueue(requests);
  return workers.rewardsOf(enqueued);
}

type Agents = {
  /** Rewards of these rollouts once they have ended; one that failed counts 0. Rejects when aborted. */
  rewardsOf(rolloutIds: readonly string[]): Promise<number[]>;
  stop(): Promise<void>;
};

const idleMs = 25;

/** Agents on what waits in the queue, at most `concurrency` at a time. */
function startAgents(gateway: GatewayClient, options: TrainingOptions): Agents {
  const rewards = new Map<string, number>();
  const waiting = new Map<string, (reward: number) => void>();
  const running = new Set<Promise<void>>();
  let stopped = false;

  async function run(claimed: Claimed): Promise<void> {
    const reward = await runOne(gateway, claimed, options.model);
    rewards.set(claimed.rollout_id, reward);
    waiting.get(claimed.rollout_id)?.(reward);
  }

  async function dispatch(): Promise<void> {
    while (!stopped && !options.signal.aborted) {
      const free = options.concurrency - running.size;
      const claimed = free > 0 ? await gateway.claim("room-booking", free) : [];
      for (const one of claimed) {
        const done: Promise<void> = run(one).finally(() => running.delete(done));
        running.add(done);
      }
      // Waking at the first agent that ends would claim rollouts one by one.
      if (claimed.length === 0) await new Promise((resolve) => setTimeout(resolve, idleMs));
    }
    await Promise.all(running);
  }

  const dispatching = dispatch();
  const failed = dispatching.then(() => {
    // What still waits in the queue is nobody's now.
    options.signal.throwIfAborted();
    return new Promise<never>(() => undefined);
  });
  failed.catch(() => undefined);
  const rewardOf = async (id: string): Promise<number> => {
    const reward = rewards.get(id) ?? (await new Promise<number>((done) => waiting.set(id, done)));
    rewards.delete(id);
    waiting.delete(id);
    return reward;
  };
  return {
    rewardsOf: (ids) => Promise.race([failed, Promise.all(ids.map(rewardOf))]),
    async stop() {
      stopped = true;
      await dispatching.catch(() => undefined);
    },
  };
}

async function runOne(
  gateway: GatewayClient,
  claimed: Claimed,
  model: Model | undefined,
): Promise<number> {
  const task = claimed.input as Task;
  try {
    const temperature = claimed.mode === "val" ? greedy : 1;
    const recorded = {
      baseURL: claimed.openai_base_url,
      apiKey: "unused",
      model: model?.model ?? "main_llm",
      temperature,
    };
    const reward = grade(task, await bookRoom(task.request, recorded));
    await gateway.reward(claimed, reward);
    await gateway.end(claimed, "succeeded");
    return reward;
  } catch (error) {
    await gateway.end(claimed, "failed", error instanceof Error ? error.message : String(error));
    return 0;
  }
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, v) => sum + v, 0) / values.length;
}

/** Different tasks each round, the same for the same seed. */
function pick(tasks: readonly Task[], count: number, seed: number): Task[] {
  const start = (Math.abs(seed) * 2_654_435_761) % Math.max(1, tasks.length);
  return Array.from({ length: count }, (_, i) => tasks[(start + i * 37) % tasks.length]).filter(
    (task) => task !== undefined,
  );
}
