import { setTimeout as sleep } from "node:timers/promises";
import { assembleRollouts } from "../../processors/assemble-rollouts.ts";
import { assignCredit } from "../../processors/assign-credit.ts";
import { drive, type Input } from "../../processors/drive.ts";
import { ask, enqueueOf, input, t0, valuesOf } from "../../processors/fixtures.ts";
import type { Emitted } from "../../processors/processor.ts";
import { attemptIdFor } from "../../processors/rollout-lifecycle.ts";
import { callOf, rewardOf, spanOf } from "../../processors/traces/fixtures.ts";
import { trackRollouts } from "../../processors/track-rollouts.ts";
import type { Append, Produced } from "../../producers/producer.ts";
import { LightningError } from "../../schemas/errors.ts";
import type { RecordName, Tagged } from "../../schemas/records.ts";
import { keyOf } from "../../schemas/topics.ts";
import type { SpanRecorded, TransitionRecorded } from "../../schemas/types.ts";

const groupSize = 4;

export type Random = () => number;

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Whole groups of rollouts with two calls, a tool span and a reward each. */
export type Load = {
  readonly rollouts: readonly string[];
  readonly groups: readonly string[];
  /** Begin the rollouts and claim them. */
  readonly begin: readonly Tagged[];
  /** Each span once, in order. */
  readonly spans: readonly SpanRecorded[];
  readonly end: readonly Tagged[];
};

/** @param name makes the ids of this load its own. */
export function makeLoad(name: string, rollouts: number, random: Random): Load {
  const ids = Array.from({ length: rollouts }, (_, i) => `${name}-${i}`);
  const groupOf = (i: number): string => `${name}-g${Math.floor(i / groupSize)}`;
  return {
    rollouts: ids,
    groups: [...new Set(ids.map((_, i) => groupOf(i)))],
    begin: ids.flatMap((id, i) => [
      enqueueOf(id, {
        group_id: groupOf(i),
        group_size: Math.min(groupSize, rollouts - i + (i % groupSize)),
      }),
      ask("ClaimRequested", id, `claim ${id}`),
    ]),
    spans: ids.flatMap((id) => spansOf(id, random)),
    end: ids.map((id) => ask("EndRequested", id, `end ${id}`)),
  };
}

function spansOf(id: string, random: Random): SpanRecorded[] {
  const of = { rollout_id: id, attempt_id: attemptIdFor(id, `claim ${id}`) };
  // Agents' clocks differ; order must not depend on them.
  const skew = Math.floor(random() * 600);
  return [
    callOf(`c1 ${id}`, skew + 1, skew + 2, of),
    spanOf(`t ${id}`, skew + 2, skew + 3, { ...of, name: "tool_call.list_rooms" }),
    callOf(`c2 ${id}`, skew + 3, skew + 4, of),
    rewardOf(`r ${id}`, skew + 5, Math.round(random() * 100) / 100, of),
  ];
}

const tries = 12;

/** Asks again while the broker is away, as an agent does: identities make a repetition harmless. */
function persistent(append: Append): Append {
  return async (records) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await append(records);
      } catch (error) {
        const passes = error instanceof LightningError && error.reaction === "retry";
        if (!passes || attempt === tries) throw error;
        await sleep(500);
      }
    }
  };
}

/** Appends a load the way agents do: what ends an attempt only after its spans are durable. */
export async function appendLoad(once: Append, load: Load, random: Random): Promise<void> {
  const append = persistent(once);
  await append(load.begin.map(onRequests));
  const twice = load.spans.flatMap((span) => (random() < 0.2 ? [span, span] : [span]));
  const shuffled = twice.map((span) => ({ span, at: random() })).sort((a, b) => a.at - b.at);
  for (let i = 0; i < shuffled.length; i += 100) {
    const records = shuffled.slice(i, i + 100).map(
      ({ span }): Produced => ({
        type: "SpanRecorded",
        value: span,
        topic: "spans",
        key: keyOf(span.project, span.rollout_id),
      }),
    );
    await append(records);
  }
  await append(load.end.map(onRequests));
}

function onRequests(request: Tagged): Produced {
  const { project, rollout_id } = request.value as { project: string; rollout_id: string };
  return { ...request, topic: "requests", key: keyOf(project, rollout_id) } as Produced;
}

/** What a transition must be, whatever happened on the way. */
export function essence(row: TransitionRecorded): string {
  const { project, rollout_id, attempt_id, step_index, span_id, group_id, revision } = row;
  const ids = [project, rollout_id, attempt_id, step_index, span_id, group_id, revision];
  const numbers = [
    row.reward,
    row.return_value,
    row.advantage,
    row.weight,
    row.group_members,
    row.step_count,
  ];
  const tokens = [row.prompt_ids, row.response_ids].map((bytes) =>
    Buffer.from(bytes).toString("hex"),
  );
  return JSON.stringify([...ids, ...numbers, ...tokens]);
}

/** The transitions of a load as an undisturbed run makes them, each once. */
export async function oracle(load: Load): Promise<string[]> {
  const written = (out: readonly Emitted<RecordName>[], topic: string): Input[] =>
    out.flatMap((e) =>
      e.topic === topic && e.type !== null ? [{ ...e, timestamp: t0 + 1 } as Input] : [],
    );
  const requests = [...load.begin, ...load.end].map((request) => input(request));
  const tracked = await drive(trackRollouts, requests);
  const spans = load.spans.map((value) => input({ type: "SpanRecorded", value }));
  const assembled = await drive(assembleRollouts, [...spans, ...written(tracked.out, "spans")]);
  const credited = await drive(assignCredit, written(assembled.out, "steps"));
  return valuesOf(credited.out, "TransitionRecorded").map(essence).sort();
}
