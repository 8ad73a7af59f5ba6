import { trace } from "@opentelemetry/api";
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { LightningError } from "../../schemas/errors.ts";
import { type Emitting, enterAttempt, validAttempt } from "./attempt.ts";
import { type BufferOptions, type BufferStats, createSpanBuffer } from "./buffer.ts";
import { ensureContextManager } from "./context-manager.ts";
import { installExitHooks } from "./exit.ts";
import type { Exporter } from "./exporter.ts";
import { createGatewayClient, type GatewayClient, type RolloutOptions } from "./gateway-client.ts";
import { projectIn } from "./gateway-url.ts";
import { warnLog } from "./losses.ts";
import { tracerName } from "./names.ts";
import type { Rollout } from "./rollout.ts";
import { type AgentOptions, type AgentSummary, runClaims } from "./run-agent.ts";
import { type Runtime, runAttempt } from "./run-attempt.ts";
import { createAttemptProcessor } from "./stamp.ts";

export type LightningOptions = {
  /** Where spans go: `createLogExporter` (Kafka), `createOtlpExporter`, `fromSpanExporter`. */
  readonly transport: Exporter;
  /** The gateway, for `rollout` and `runAgent`; with `/projects/<name>` it also names the project. */
  readonly gatewayUrl?: string;
  /** `default`, unless given here or by `gatewayUrl`. */
  readonly project?: string;
  readonly apiKey?: string;
  /** Bounds, batching, and what happens when the other side is away. */
  readonly buffer?: BufferOptions;
  /** Spans outside of any rollout: dropped and counted (as unless said), or passed to the transport. */
  readonly outside?: "drop" | "pass";
  /**
   * Registers a tracer provider for the process, so that instrumented frameworks' spans come along.
   * False: add {@link Lightning.spanProcessor} to your own provider.
   */
  readonly register?: boolean;
  /** Flush before the process exits and on SIGTERM and SIGINT. */
  readonly exitHooks?: boolean;
  /** How often a running attempt tells the gateway that it lives, ms. */
  readonly heartbeatMs?: number;
};

export type LightningStats = BufferStats & {
  /** Spans outside of any rollout that were left out. */
  readonly outside: number;
};

export type Lightning = {
  readonly project: string;
  /** For a tracer provider of your own. */
  readonly spanProcessor: SpanProcessor;
  /** Runs `fn` as part of an attempt somebody else started and will end. */
  withAttempt<T>(ids: { rolloutId: string; attemptId: string; project?: string }, fn: () => T): T;
  /**
   * Enqueues and starts a rollout, runs `fn` in it, waits until all it emitted is acknowledged, ends
   * it as succeeded (failed when `fn` throws, which is thrown on) and returns the result.
   */
  rollout<T>(
    input: unknown,
    fn: (rollout: Rollout) => T | Promise<T>,
    options?: RolloutOptions,
  ): Promise<T>;
  /** Claims rollouts and runs the agent on them, see {@link runClaims}. */
  runAgent(options: AgentOptions): Promise<AgentSummary>;
  /** Resolves when every span so far is acknowledged; throws `deadline-passed` or the refusal. */
  flush(timeoutMs?: number): Promise<void>;
  stats(): LightningStats;
  /** Flushes and lets go of everything, whatever the flush says; throws as it does. */
  shutdown(): Promise<void>;
};

/**
 * The client an agent's process makes once.
 *
 * @example
 * const lightning = createLightning({
 *   transport: createOtlpExporter({ gatewayUrl }),
 *   gatewayUrl,
 *   buffer: { whenFull: "drop" },
 * });
 * const room = await lightning.rollout({ people: 4, at: "10:00" }, async ({ input }) => {
 *   const answer = await agent(input);
 *   await emitReward(grade(answer));
 *   return answer;
 * });
 *
 * Throws `config-invalid` when the process has another tracer provider already and `register` is not
 * false, and for impossible limits, project names and addresses.
 */
export function createLightning(options: LightningOptions): Lightning {
  const { transport, outside = "drop", register = true, heartbeatMs = 10_000 } = options;
  const { log = warnLog } = options.buffer ?? {};
  const project = projectFor(options);
  const buffer = createSpanBuffer(transport, options.buffer);
  const processor = createAttemptProcessor(buffer, { outside, project });
  ensureContextManager();
  const provider = createProvider(processor);
  if (register) registerProvider(provider);
  const emitting: Emitting = { tracer: provider.getTracer(tracerName), room: buffer.room };
  const gateway = gatewayOf(options, project);
  const runtime = (): Runtime => ({ gateway: gateway(), buffer, emitting, heartbeatMs, log });
  const flush = (timeoutMs?: number): Promise<void> =>
    buffer.flush(timeoutMs === undefined ? {} : { timeoutMs });
  const removeHooks = options.exitHooks === false ? undefined : installExitHooks(flush, log);
  return {
    project,
    spanProcessor: processor,
    withAttempt: (ids, fn) =>
      enterAttempt(
        { attempt: validAttempt({ ...ids, project: ids.project ?? project }), emitting },
        fn,
      ),
    async rollout(input, fn, rolloutOptions = {}) {
      await buffer.room();
      const rollout = await runtime().gateway.start(input, rolloutOptions, null);
      return runAttempt(runtime(), rollout, () => fn(rollout));
    },
    runAgent: (agentOptions) => runClaims(runtime(), agentOptions),
    flush,
    stats: () => ({ ...buffer.stats(), outside: processor.outside() }),
    async shutdown() {
      removeHooks?.();
      if (register) trace.disable();
      await buffer.close();
    },
  };
}

function projectFor({ project, gatewayUrl, transport }: LightningOptions): string {
  if (typeof transport?.send !== "function") {
    throw new LightningError("config-invalid", "createLightning: transport is no exporter");
  }
  const named = project ?? (gatewayUrl === undefined ? undefined : projectIn(gatewayUrl));
  return validAttempt({ project: named ?? "default", rolloutId: "-", attemptId: "-" }).project;
}

/** OpenTelemetry's limits (128 attributes a span) would silently cut prompts and inputs. */
function createProvider(processor: SpanProcessor): BasicTracerProvider {
  const none = Number.POSITIVE_INFINITY;
  return new BasicTracerProvider({
    sampler: new AlwaysOnSampler(),
    spanProcessors: [processor],
    spanLimits: {
      attributeCountLimit: none,
      attributeValueLengthLimit: none,
      eventCountLimit: none,
      linkCountLimit: none,
      attributePerEventCountLimit: none,
      attributePerLinkCountLimit: none,
    },
  });
}

function registerProvider(provider: BasicTracerProvider): void {
  if (trace.setGlobalTracerProvider(provider)) return;
  throw new LightningError(
    "config-invalid",
    "createLightning: the process has a tracer provider already; pass { register: false } and add lightning.spanProcessor to it",
  );
}

/** Made at the first use, so that a client without a gateway can still emit. */
function gatewayOf(options: LightningOptions, project: string): () => GatewayClient {
  const { gatewayUrl, apiKey } = options;
  let client: GatewayClient | undefined;
  return () => {
    if (gatewayUrl === undefined) {
      throw new LightningError(
        "config-invalid",
        "rollout and runAgent need gatewayUrl in the options of createLightning",
      );
    }
    client ??= createGatewayClient({ gatewayUrl, project, apiKey });
    return client;
  };
}
