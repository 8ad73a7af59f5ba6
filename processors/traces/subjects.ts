import type { SpanRecorded } from "../../schemas/types.ts";
import { agentAttributes } from "./agents.ts";
import { callAttributes, isNamedAsCall } from "./conventions.ts";
import { linkPrefix } from "./links.ts";
import { isBelow } from "./nested.ts";
import { remembered } from "./remembered.ts";
import { rewardAttributes } from "./rewards.ts";
import { type Shape, shapeOf } from "./shapes.ts";
import { toolAttributes } from "./tools.ts";

/** What a span may be about, a bit each. */
export const subjects = { agent: 1, call: 2, tool: 4, reward: 8, links: 16 } as const;

/** All of them. */
export const anySubject = 31;

/** Attributes of which one, under its name or below it, is there where a table reads something. */
const attributesOf: Readonly<Record<keyof typeof subjects, readonly string[]>> = {
  agent: agentAttributes,
  call: callAttributes,
  tool: toolAttributes,
  reward: rewardAttributes,
  links: [linkPrefix],
};

/**
 * The subjects a span may be about, by its name and those of its attributes. Most spans are about
 * one or none: so known, the tables of conventions on the others need not be gone through.
 */
export function subjectsOf({ name, attributes }: SpanRecorded): number {
  const shape = shapeOf(attributes);
  shape.subjects ??= hintsOf(shape);
  return isNamedAsCall(name) ? shape.subjects | subjects.call : shape.subjects;
}

function hintsOf({ names }: Shape): number {
  return names.reduce((found, { name }) => found | hintOf(name), 0);
}

const hintOf = remembered((name) => {
  let hint = 0;
  for (const subject of ["agent", "call", "tool", "reward", "links"] as const) {
    const listed = attributesOf[subject];
    if (listed.some((one) => name === one || isBelow(name, one))) hint |= subjects[subject];
  }
  return hint;
});
