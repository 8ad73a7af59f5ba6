import type { Model } from "../../producers/examples/room-booking/agent.ts";
import { type Progress, trainRoomBooking } from "../../producers/examples/room-booking/train.ts";
import type { Values } from "../config.ts";
import { projectUrl } from "./worker.ts";

export type DemoOptions = {
  readonly training: boolean;
  readonly rounds: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  say(line: string): void;
};

/** Sizes of the demo: about 1,500 rollouts until it has learned, on two cores half a minute. */
const sizes = {
  groups: 8,
  groupSize: 8,
  heldOut: 80,
  measureEvery: 8,
  target: 0.9,
  concurrency: 16,
};

/** Runs the room-booking training through the gateway, telling of every round. */
export async function runDemo(values: Values, options: DemoOptions): Promise<void> {
  const model = realModel(values);
  options.say("  round  rollouts  policy  training reward  held-out reward");
  await trainRoomBooking({
    ...sizes,
    gatewayUrl: projectUrl(values, "LIGHTNING_URL"),
    seed: options.seed,
    rounds: options.rounds,
    training: options.training && model === undefined,
    ...(model === undefined ? {} : { model }),
    signal: options.signal,
    onProgress: (progress) => options.say(lineOf(progress)),
  });
}

/** A model of the user's own: the agent is the same, nobody trains it. */
function realModel(values: Values): Model | undefined {
  if (values.OPENAI_BASE_URL === "" && values.OPENAI_API_KEY === "") return undefined;
  const baseURL =
    values.OPENAI_BASE_URL === "" ? "https://api.openai.com/v1" : values.OPENAI_BASE_URL;
  return { baseURL, apiKey: values.OPENAI_API_KEY, model: values.OPENAI_MODEL };
}

function lineOf({ round, rollouts, version, trainReward, heldOutReward }: Progress): string {
  const columns = [
    String(round).padStart(7),
    String(rollouts).padStart(10),
    String(version ?? "-").padStart(8),
    figure(trainReward).padStart(17),
    figure(heldOutReward).padStart(17),
  ];
  const bar = "█".repeat(Math.round((heldOutReward ?? trainReward ?? 0) * 20)).padEnd(20, "·");
  return `${columns.join("")}  ${bar}`;
}

function figure(value: number | null): string {
  return value === null ? "-" : value.toFixed(3);
}
