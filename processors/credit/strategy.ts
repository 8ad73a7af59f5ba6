import type { RolloutAssembled, StepRecorded } from "../../schemas/types.ts";
import type { OmissionReason } from "../traces/omissions.ts";

/** What a strategy may read of a step: state, action, who acted, and the reward matched to it. */
export type MemberStep = Pick<
  StepRecorded,
  | "span_id"
  | "choice"
  | "agent"
  | "policy"
  | "messages"
  | "prompt_ids"
  | "response_ids"
  | "state_id"
  | "potential"
  | "reward"
>;

/** A rollout of a group, as a strategy sees it. */
export type Member = Pick<RolloutAssembled, "rollout_id" | "status" | "metadata"> & {
  /** Final reward; 0 when it has none (the reference's fill value). Always finite. */
  readonly reward: number;
  /** In order; the choices of one call are steps with one span id. */
  readonly steps: readonly MemberStep[];
};

/** Why steps got no transition although they are steps: what their `CallOmitted` records say. */
export type Withheld = {
  readonly reason: Extract<
    OmissionReason,
    "equal-rewards" | "group-incomplete" | "failed-rollout" | "counterfactual" | "not-finite"
  >;
  readonly detail: string;
};

/** Return and advantage per step of one member, in its order. */
export type Assigned = {
  readonly returns: readonly number[];
  readonly advantages: readonly number[];
  /** Set when the member only served as a measure and is not to be trained. */
  readonly withheld?: Withheld;
};

/** A number a strategy takes. */
export type Parameter = {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly doc: string;
};

/** A word a strategy takes. */
export type Option = {
  readonly default: string;
  /** Null: any text of at most 1,000 characters. */
  readonly allowed: readonly string[] | null;
  readonly doc: string;
};

export type Parameters = Readonly<Record<string, number>>;
export type Options = Readonly<Record<string, string>>;

/**
 * How rewards become returns and advantages: a pure function of a group. Baselines count rollouts,
 * not rows, so that a long rollout weighs no more than a short one, unless an option asks for rows.
 */
export type Strategy = {
  readonly name: string;
  /** One line for people. */
  readonly doc: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly options: Readonly<Record<string, Option>>;
  /** True: it compares rollouts, so one rollout of a larger group cannot be credited alone. */
  readonly needsGroup: (options: Options) => boolean;
  /** The strategy whose parameters and options this one takes as well and falls back to. */
  readonly fallback?: (options: Options) => Strategy | undefined;
  /** One entry per member, in the order given; every declared parameter and option has a value. */
  readonly assign: (
    members: readonly Member[],
    parameters: Parameters,
    options: Options,
  ) => readonly Assigned[];
};

/** Options every strategy takes. */
export const sharedOptions: Strategy["options"] = {
  equal_rewards: {
    default: "keep",
    allowed: ["keep", "withhold"],
    doc: "withhold: a group whose final rewards are all equal gives no transitions.",
  },
  failed: {
    default: "fill",
    allowed: ["fill", "exclude"],
    doc: "fill: a rollout that did not succeed counts with its reward, 0 when it has none; exclude: it is in no baseline and gives no transitions.",
  },
};

/** The same return and advantage for every step of a member. */
export function toAllSteps(member: Member, reward: number, advantage: number): Assigned {
  return {
    returns: member.steps.map(() => reward),
    advantages: member.steps.map(() => advantage),
  };
}

/** A list with one value per step of the group, cut into one list per member. */
export function byMember(members: readonly Member[], values: readonly number[]): number[][] {
  let at = 0;
  return members.map(({ steps }) => {
    at += steps.length;
    return values.slice(at - steps.length, at);
  });
}
