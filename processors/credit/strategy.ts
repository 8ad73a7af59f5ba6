/** A rollout of a group, as a strategy sees it. */
export type Member = {
  /** Final reward; 0 when it has none (the reference's fill value). Always finite. */
  readonly reward: number;
  /** Reward matched to each step, null where there is none; one entry per step, in order. */
  readonly stepRewards: readonly (number | null)[];
};

/** Return and advantage per step of one member, in its order. */
export type Assigned = {
  readonly returns: readonly number[];
  readonly advantages: readonly number[];
};

/** A number a strategy takes. */
export type Parameter = {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly doc: string;
};

/**
 * How rewards become returns and advantages: a pure function of a group. Baselines count rollouts,
 * not rows, so that a long rollout weighs no more than a short one.
 */
export type Strategy = {
  readonly name: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** One entry per member, in the order given; `parameters` has a value for each declared one. */
  readonly assign: (
    members: readonly Member[],
    parameters: Readonly<Record<string, number>>,
  ) => readonly Assigned[];
};

/** The same return and advantage for every step of a member. */
export function toAllSteps(member: Member, reward: number, advantage: number): Assigned {
  return {
    returns: member.stepRewards.map(() => reward),
    advantages: member.stepRewards.map(() => advantage),
  };
}

/**
 * The mean; exactly the common value when all are equal, so that equal rewards give advantages of
 * exactly 0 and not of rounding errors blown up by a small standard deviation.
 */
export function meanOf(values: readonly number[]): number {
  const [first = 0] = values;
  if (values.every((value) => value === first)) return first;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Sample standard deviation (n − 1); null with fewer than two values. */
export function sampleStdOf(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}
