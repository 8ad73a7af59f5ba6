import {
  type EventDedup,
  eventTriplets,
  type GatewayEvent,
  lastReward,
  tripletView,
  whyNoTurn,
} from "../../../processors/adapters/events.ts";
import { LightningError } from "../../../schemas/errors.ts";
import type { Adapted, Config } from "./adapters.ts";

/**
 * Triplets of a 1.0 gateway's events, as its trainer makes them.
 *
 * @throws LightningError `request-invalid` for a config that cannot be, naming the field.
 */
export function adaptEvents(events: readonly GatewayEvent[], config: Config): Adapted {
  const dedup = dedupOf(config);
  const view = tripletView(events, dedup);
  return { items: eventTriplets(view), explain: () => explanation(events, view, dedup) };
}

function dedupOf(config: Config): EventDedup {
  const { dedup = "prompt", ...others } = config;
  const [other] = Object.keys(others);
  if (other === undefined && (dedup === "prompt" || dedup === "call")) return dedup;
  const message =
    other === undefined
      ? `config.dedup is ${JSON.stringify(dedup)}, allowed are prompt, call`
      : `config has ${JSON.stringify(other)}, allowed for events is dedup`;
  throw new LightningError("request-invalid", message, { field: other ?? "dedup" });
}

function explanation(
  events: readonly GatewayEvent[],
  view: readonly GatewayEvent[],
  dedup: EventDedup,
): string[] {
  const requests = events.filter(({ event_type }) => event_type === "model_request").length;
  const kept = view.filter(({ event_type }) => event_type === "model_request");
  const reasons = kept.map(({ data }) => whyNoTurn(data));
  const times = (reason: string | null): number => reasons.filter((one) => one === reason).length;
  return [
    `${events.length} events, ${requests} model requests, ${times(null)} triplets; last reward ${lastReward(view) ?? "none"}`,
    `no triplet: ${requests - kept.length} × duplicate (one ${dedup === "prompt" ? "list of prompt ids" : "response id"}), ${times("failed")} × failed, ${times("empty-response")} × empty-response`,
  ];
}
