import type { CreditAssigned, CreditOfMember } from "../../../schemas/types.ts";
import { field, float64, int32, list, text, tuple, word } from "../rowbinary.ts";
import { kafkaColumns, same, type Table } from "../table.ts";

const member = tuple<CreditOfMember>([
  field("rollout_id", text, (m) => m.rollout_id),
  field("advantages", list(float64), (m) => m.advantages),
  field("returns", list(float64), (m) => m.returns),
]);

/** Answers of external credit strategies, each as it came: which one counted, the rows say. */
export const creditAssignments: Table<CreditAssigned> = {
  name: "credit_assignments",
  key: ["project", "group_id", "kafka_partition", "kafka_offset"],
  repeats: null,
  columns: [
    same("project", word),
    same("group_id", text),
    same("revision", int32),
    field("members", list(member), ({ value: v }) => v.members),
    ...kafkaColumns,
  ],
};
