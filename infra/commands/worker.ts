import { parseArgs } from "node:util";
import { LightningError } from "../../schemas/errors.ts";
import { resourceNames, startPolicy } from "../../sinks/trainer/worker/publish.ts";
import { seededRandom } from "../../sinks/trainer/worker/random.ts";
import { buildModelServer } from "../../sinks/trainer/worker/serve.ts";
import { trainForEver, type WorkerSettings } from "../../sinks/trainer/worker/worker.ts";
import { configWithAddresses } from "../addresses.ts";
import type { Values } from "../config.ts";
import { listen } from "../roles.ts";
import { type Command, dataOption, dataUsage, portNumber, print, wholeNumber } from "./command.ts";

export const modelName = "room-booker";

export type WorkerOptions = {
  readonly port: number;
  readonly seed: number;
  readonly training: boolean;
  /** Whose rows it trains; null: all there are. */
  readonly policy: string | null;
};

/** The reference worker: serves the policy over the OpenAI protocol and trains it on leased batches. */
export async function startWorker(
  values: Values,
  options: WorkerOptions,
  onTrained: Parameters<typeof trainForEver>[3],
): Promise<{ endpoint: string; done: Promise<void>; stop(): Promise<void> }> {
  const gatewayUrl = projectUrl(values, "LIGHTNING_URL");
  const served = { policy: { weights: new Float32Array(0) }, version: 0 };
  const model = options.policy || modelName;
  const app = buildModelServer({
    served,
    model,
    random: seededRandom(options.seed * 31 + Date.now()),
  });
  const address = await listen(app, values.LIGHTNING_HOST, options.port);
  const settings: WorkerSettings = {
    trainer: { url: projectUrl(values, "LIGHTNING_TRAINER_URL") },
    gatewayUrl,
    endpoint: `${address}/v1`,
    model,
    names: resourceNames(options.policy),
    policy: options.policy,
    workerId: ["worker", process.pid, options.policy || []].flat().join("-"),
    seed: options.seed,
    maxSamples: 256,
    maxStaleness: 8,
  };
  Object.assign(served, await startPolicy(settings));
  const stop = new AbortController();
  const done = options.training
    ? trainForEver(settings, served, stop.signal, onTrained)
    : new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
  return {
    endpoint: settings.endpoint,
    done,
    async stop() {
      stop.abort();
      await done.catch(() => undefined);
      await app.close();
    },
  };
}

/** Base URL of a gateway or trainer for the configured project. */
export function projectUrl(
  values: Values,
  name: "LIGHTNING_URL" | "LIGHTNING_TRAINER_URL",
): string {
  const url = values[name].replace(/\/+$/, "");
  if (url === "") {
    throw new LightningError(
      "config-invalid",
      `${name} is empty, allowed is a http:// or https:// address; start lightning up, or set it`,
    );
  }
  return values.LIGHTNING_PROJECT === "default"
    ? url
    : `${url}/projects/${values.LIGHTNING_PROJECT}`;
}

export const workerCommand: Command = {
  doc: "the reference worker: serves the room-booking policy and trains it on leased batches",
  usage: `lightning worker [--policy NAME] [--port N] [--seed N] [--no-train] [--data DIR]

  --policy NAME    train the rows of this policy alone (a name in "selection": {"agents": [{"match": …,
                   "policy": NAME}]}; "": what is routed to none). The model is then the resource NAME,
                   its weights NAME.weights, beside those of other workers in the set "policy": agents
                   ask the proxy for the model NAME. A worker per policy trains several models at once.
  --port N         port of the model's OpenAI-compatible API (4752; 0: any)
  --seed N         seed of the random policy it starts from when the log has none (1)
  --no-train       serve only
${dataUsage}`,
  async run(args) {
    const { values: given } = parseArgs({
      args: [...args],
      options: {
        ...dataOption,
        policy: { type: "string" },
        port: { type: "string", default: "4752" },
        seed: { type: "string", default: "1" },
        "no-train": { type: "boolean", default: false },
      },
    });
    const asked = new Promise<void>((resolve) => {
      for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
      process.once("disconnect", () => resolve());
    });
    const options = {
      port: portNumber("worker", given.port),
      seed: wholeNumber("worker", "--seed", given.seed),
      training: !given["no-train"],
      policy: given.policy ?? null,
    };
    const values = configWithAddresses(given.data, ["LIGHTNING_URL", "LIGHTNING_TRAINER_URL"]);
    const worker = await startWorker(values, options, ({ version, metrics }) => {
      const { rows, loss, entropy } = metrics;
      print(
        `${options.policy || "policy"} ${version}: ${rows} rows, loss ${loss.toFixed(4)}, entropy ${entropy.toFixed(3)}`,
      );
    });
    print(`worker serves ${options.policy || modelName} at ${worker.endpoint}`);
    if (process.connected === true) process.send?.({ ready: { worker: worker.endpoint } });
    await Promise.race([asked, worker.done]);
    await worker.stop();
  },
};
