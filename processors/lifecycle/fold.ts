import type { Request } from "../../schemas/requests.ts";
import type { AttemptEnded, RolloutChanged } from "../../schemas/types.ts";
import { t0 } from "../fixtures.ts";
import { decide } from "../rollout-lifecycle.ts";
import type { Decision } from "./decision.ts";

export type Folded = {
  readonly rollout: RolloutChanged | undefined;
  readonly decisions: readonly Decision[];
  readonly marks: readonly AttemptEnded[];
};

/** For tests: folds requests one second apart. */
export function fold(...requests: readonly Request[]): Folded {
  let rollout: RolloutChanged | undefined;
  const decisions = requests.map((request, offset) => {
    const at = { partition: 0, offset, timestamp: t0 + offset * 1000 };
    const decision = decide(rollout, request, at);
    rollout = decision.rollout;
    return decision;
  });
  const marks = decisions.flatMap(({ ended }) => (ended === null ? [] : [ended]));
  return { rollout, decisions, marks };
}
