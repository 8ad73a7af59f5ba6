import { LightningError } from "../schemas/errors.ts";
import type { Tagged } from "../schemas/records.ts";
import type { Request } from "../schemas/requests.ts";
import { keyOf } from "../schemas/topics.ts";
import type { RolloutChanged } from "../schemas/types.ts";
import { deadlineOf } from "./lifecycle/deadlines.ts";
import type { Decision } from "./lifecycle/decision.ts";
import { timeOutRequest } from "./lifecycle/time-out.ts";
import type { Emitted, Event, Processor, Step, Tick } from "./processor.ts";
import { decide } from "./rollout-lifecycle.ts";

type Row = "RolloutChanged";
type Out = "RolloutChanged" | "AttemptEnded" | "TimeoutRequested";

const row = "rollout";

/** A clock that is further ahead is not waited for, ms: it may have been somebody else's. */
const mostLead = 60_000;

/**
 * Publishes what the log made of the requests: each rollout after each accepted change, a mark
 * behind the spans of each attempt that ended, and a request when a limit passed. A limit changes
 * nothing until that request is read back, so that all who fold `requests` see the same.
 */
export const trackRollouts: Processor<Request["type"], Row, Out> = {
  name: "track-rollouts",
  reads: "requests",
  writes: ["rollouts", "spans", "requests"],
  rows: ["RolloutChanged"],
  step(rows, event) {
    const rollout = rows.get(row)?.value;
    if (event.type === "Tick") return rollout === undefined ? {} : limitPassed(rollout, event);
    const { project, rollout_id } = event.value;
    if (event.key !== keyOf(project, rollout_id)) {
      throw new LightningError(
        "record-invalid",
        `key: read ${event.key}, must be ${keyOf(project, rollout_id)} (project/rollout id)`,
      );
    }
    return publish(rollout, decide(rollout, event, event.at), event);
  },
};

function publish(
  before: RolloutChanged | undefined,
  { rollout, ended }: Decision,
  event: Event<Request["type"]>,
): Step<Row, Out> {
  if (rollout === undefined) {
    if (before === undefined) return {};
    const gone = { topic: "rollouts", key: event.key, type: null, value: null } as const;
    return { drop: "all", wakeAt: null, emit: [gone] };
  }
  // The timer that brought a time-out request is spent, so it is set again even when that was void.
  if (rollout === before) {
    return event.type === "TimeoutRequested" ? alarm(rollout, leadOf(event)) : {};
  }
  const fact: Tagged<"RolloutChanged"> = { type: "RolloutChanged", value: rollout };
  const emit: Emitted<Out>[] = [{ ...fact, topic: "rollouts", key: event.key }];
  if (ended !== null) {
    emit.push({ type: "AttemptEnded", value: ended, topic: "spans", key: event.key });
  }
  return { put: [[row, fact]], emit, ...timerOf(before, rollout, event) };
}

/** A sign of life mostly moves deadlines away: the timer stays and is set again when it rings. */
function timerOf(
  before: RolloutChanged | undefined,
  rollout: RolloutChanged,
  event: Request,
): Step<Row, Out> {
  const quiet = event.type === "HeartbeatRequested" || event.type === "SequenceRequested";
  const old = before === undefined ? null : deadlineOf(before);
  const due = deadlineOf(rollout);
  const waits = quiet && old !== null && due !== null && due.at >= old.at;
  return waits ? {} : alarm(rollout);
}

function alarm(rollout: RolloutChanged, later = 0): Step<Row, Out> {
  const deadline = deadlineOf(rollout);
  return { wakeAt: deadline === null ? null : Math.ceil(deadline.at / 1000) + later };
}

/** How far the clock of whoever asked is before the log's, ms: he will be right so much later. */
function leadOf({ value, at }: Event<"TimeoutRequested">): number {
  return Math.min(mostLead, Math.max(0, Math.ceil(value.requested_at / 1000) - at.timestamp));
}

function limitPassed(rollout: RolloutChanged, tick: Tick): Step<Row, Out> {
  const deadline = deadlineOf(rollout);
  if (deadline === null) return {};
  if (deadline.at > tick.at.timestamp * 1000) return alarm(rollout);
  const request: Emitted<Out> = {
    ...timeOutRequest(rollout, deadline, tick.at.timestamp * 1000),
    topic: "requests",
    key: tick.key,
  };
  return { emit: [request] };
}
