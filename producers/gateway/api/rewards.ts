import { LightningError } from "../../../schemas/errors.ts";
import type { Attributes } from "../../../schemas/types.ts";
import { attributesFrom, putKind } from "../../attributes.ts";
import { jsonField } from "../json.ts";

/**
 * Attributes of a reward span, as the reference emits them: dimension 0 is the primary one, and a
 * single number is the dimension `primary`. Throws `request-invalid` when several dimensions are
 * given and `primary` names none of them.
 */
export function rewardAttributes(
  value: number | Readonly<Record<string, number>>,
  primary: string | undefined,
  more: Readonly<Record<string, unknown>>,
): Attributes {
  jsonField(more, "attributes");
  const attributes = attributesFrom(more);
  for (const [i, [name, reward]] of dimensions(value, primary).entries()) {
    putKind(attributes, "strings", `agentlightning.reward.${i}.name`, name);
    putKind(attributes, "doubles", `agentlightning.reward.${i}.value`, reward);
  }
  return attributes;
}

function dimensions(
  value: number | Readonly<Record<string, number>>,
  primary: string | undefined,
): [string, number][] {
  if (typeof value === "number") return [[primary ?? "primary", value]];
  const entries = Object.entries(value);
  const [only] = entries;
  const first = primary ?? (entries.length === 1 ? only?.[0] : undefined);
  if (first !== undefined && Object.hasOwn(value, first)) {
    const rest = entries.filter(([name]) => name !== first);
    return [[first, value[first] ?? 0], ...rest];
  }
  const names = entries.map(([name]) => JSON.stringify(name.slice(0, 80))).join(", ");
  throw new LightningError(
    "request-invalid",
    `primary: read ${JSON.stringify(primary?.slice(0, 80)) ?? "nothing"}, allowed is one of ${names}`,
    { field: "primary" },
  );
}
