import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, messageOf } from "../../schemas/errors.ts";
import { emitReward } from "./emit.ts";
import { delayAfter, mayPass } from "./retry.ts";
import type { Rollout } from "./rollout.ts";
import { type Runtime, runAttempt } from "./run-attempt.ts";

export type AgentOptions = {
  readonly workerId: string;
  /** How many rollouts at the same time; 1 unless said. */
  readonly concurrency?: number;
  /** The agent. A number or truth value it returns is emitted as the reward. */
  readonly agent: (rollout: Rollout) => unknown;
  /** Stops claiming; rollouts under way are finished. */
  readonly signal?: AbortSignal;
  /** Stops after so many. */
  readonly maxRollouts?: number;
  /** How long to wait when the queue is empty, ms, with a jitter of a half. */
  readonly pollMs?: number;
};

/** How the rollouts went; one whose end came too late (it had timed out, say) counts as failed. */
export type AgentSummary = { readonly succeeded: number; readonly failed: number };

/**
 * Claims rollouts and runs the agent on them until told to stop. An agent that throws fails its
 * attempt, nothing else. Claims nothing while the span buffer is full and told to block. Waits for a
 * gateway that is away; throws what no waiting can cure (`unauthorised`, `request-invalid`) once the
 * rollouts under way are finished.
 */
export async function runClaims(runtime: Runtime, options: AgentOptions): Promise<AgentSummary> {
  const {
    concurrency = 1,
    pollMs = 1_000,
    signal,
    maxRollouts = Number.POSITIVE_INFINITY,
  } = options;
  const running = new Set<Promise<void>>();
  const counts = { succeeded: 0, failed: 0 };
  let claimed = 0;
  let failures = 0;
  try {
    while (signal?.aborted !== true && claimed < maxRollouts) {
      await runtime.buffer.room();
      const free = Math.min(concurrency - running.size, maxRollouts - claimed);
      if (free <= 0) {
        await Promise.race(running);
        continue;
      }
      const rollouts = await claim(free);
      claimed += rollouts.length;
      for (const rollout of rollouts) begin(rollout);
      if (rollouts.length === 0) await idle(pollMs * (0.75 + Math.random() / 2), signal);
    }
  } finally {
    await Promise.all(running);
  }
  return counts;

  async function claim(limit: number): Promise<readonly Rollout[]> {
    try {
      const rollouts = await runtime.gateway.claim(options.workerId, limit);
      failures = 0;
      return rollouts;
    } catch (error) {
      if (!mayPass(error)) throw error;
      failures++;
      runtime.log("warn", "claiming failed", { failures, reason: messageOf(error) });
      await idle(delayAfter(failures, error), signal);
      return [];
    }
  }

  function begin(rollout: Rollout): void {
    const run = runOne(runtime, options.agent, rollout).then((succeeded) => {
      counts[succeeded ? "succeeded" : "failed"]++;
      running.delete(run);
    });
    running.add(run);
  }
}

/** Never rejects: one rollout's failure is that rollout's. */
async function runOne(
  runtime: Runtime,
  agent: AgentOptions["agent"],
  rollout: Rollout,
): Promise<boolean> {
  try {
    await runAttempt(runtime, rollout, async () => {
      const result = await agent(rollout);
      if (typeof result === "number" || typeof result === "boolean") await emitReward(result);
    });
    return true;
  } catch (error) {
    const { project, rolloutId, attemptId } = rollout;
    const facts = { project, rolloutId, attemptId, code: codeOf(error), reason: messageOf(error) };
    runtime.log("warn", "attempt failed", facts);
    return false;
  }
}

async function idle(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}
