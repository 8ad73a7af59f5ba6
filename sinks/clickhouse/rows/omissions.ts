import type { CallOmitted } from "../../../schemas/types.ts";
import { int32, text, word } from "../rowbinary.ts";
import { kafkaColumns, same, type Table } from "../table.ts";
import { provenanceColumns } from "./credit.ts";

/** Why calls gave no transition; the assembler and credit assignment write them exactly once. */
export const omittedCalls: Table<CallOmitted> = {
  name: "omitted_calls",
  key: ["project", "rollout_id", "kafka_topic", "kafka_partition", "kafka_offset"],
  repeats: null,
  columns: [
    same("project", word),
    same("rollout_id", text),
    same("group_id", text),
    same("attempt_id", text),
    same("span_id", text),
    same("agent", word),
    same("model", word),
    same("reason", word),
    same("detail", text),
    same("revision", int32),
    ...provenanceColumns,
    ...kafkaColumns,
  ],
};
