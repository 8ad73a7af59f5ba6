import type {
  CreditAssigned,
  GroupClosed,
  RolloutAssembled,
  StepRecorded,
  TransitionRecorded,
} from "../../schemas/types.ts";
import type { Driven, Input } from "../drive.ts";
import { input, memberOf, stepOf, t0, valuesOf } from "../fixtures.ts";

/** Records of group `g` in `steps`, for tests of its fold. */

export const member = (value: RolloutAssembled, timestamp = t0): Input =>
  input({ type: "RolloutAssembled", value }, timestamp);

export const step = (...of: Parameters<typeof stepOf>): Input =>
  input({ type: "StepRecorded", value: stepOf(...of) });

/** A member with as many steps, the last one rewarded. */
export function whole(
  id: string,
  steps: number,
  reward: number | null,
  fields: Partial<RolloutAssembled> = {},
): Input[] {
  const revision = fields.revision ?? 0;
  const given = Array.from({ length: steps }, (_, i): StepRecorded => {
    return { ...stepOf(id, i, i === steps - 1 ? reward : null), revision };
  });
  return [
    ...given.map((value) => input({ type: "StepRecorded", value })),
    member(memberOf(id, steps, reward, fields)),
  ];
}

/** What an external strategy answers. */
export function answer(members: CreditAssigned["members"], revision = 0, timestamp = t0): Input {
  const value = { project: "default", group_id: "g", revision, members };
  return { type: "CreditAssigned", value, key: "default/g", timestamp };
}

export const rowsOf = (driven: Driven): TransitionRecorded[] =>
  valuesOf(driven.out, "TransitionRecorded");

export const groupsOf = (driven: Driven): GroupClosed[] => valuesOf(driven.out, "GroupClosed");
