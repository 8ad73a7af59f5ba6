import { LightningError } from "../../schemas/errors.ts";
import type { Tagged } from "../../schemas/records.ts";
import { creditAssignments } from "./rows/assignments.ts";
import { deadLetters } from "./rows/dead-letters.ts";
import { omittedCalls } from "./rows/omissions.ts";
import { batches, leased, projects, resources, returned, trained } from "./rows/resources.ts";
import { rolloutChanges } from "./rows/rollouts.ts";
import { attemptEnds, spans } from "./rows/spans.ts";
import { assemblies, steps } from "./rows/steps.ts";
import { groups, transitions } from "./rows/transitions.ts";
import { workerChanges } from "./rows/workers.ts";
import { type Place, type Row, row, type TableShape } from "./table.ts";

/** Every table the sink writes, what is closed before what closes it. */
export const tables: readonly TableShape[] = [
  spans,
  attemptEnds,
  rolloutChanges,
  steps,
  assemblies,
  transitions,
  groups,
  omittedCalls,
  creditAssignments,
  resources,
  projects,
  batches,
  workerChanges,
  deadLetters,
];

/** The row a record becomes; throws `row-refused` for a record no table holds. */
export function rowOf(record: Tagged, place: Place): Row {
  switch (record.type) {
    case "SpanRecorded":
      return row(spans, { ...place, value: record.value });
    case "AttemptEnded":
      return row(attemptEnds, { ...place, value: record.value });
    case "RolloutChanged":
      return row(rolloutChanges, { ...place, value: record.value });
    case "StepRecorded":
      return row(steps, { ...place, value: record.value });
    case "RolloutAssembled":
      return row(assemblies, { ...place, value: record.value });
    case "TransitionRecorded":
      return row(transitions, { ...place, value: record.value });
    case "GroupClosed":
      return row(groups, { ...place, value: record.value });
    case "CallOmitted":
      return row(omittedCalls, { ...place, value: record.value });
    case "CreditAssigned":
      return row(creditAssignments, { ...place, value: record.value });
    case "ResourcesUpdated":
      return row(resources, { ...place, value: record.value });
    case "ProjectConfigured":
      return row(projects, { ...place, value: record.value });
    case "BatchLeased":
      return row(batches, { ...place, value: leased(record.value) });
    case "BatchTrained":
      return row(batches, { ...place, value: trained(record.value) });
    case "BatchReturned":
      return row(batches, { ...place, value: returned(record.value) });
    case "WorkerChanged":
      return row(workerChanges, { ...place, value: record.value });
    case "DeadLettered":
      return row(deadLetters, { ...place, value: record.value });
    default:
      throw new LightningError(
        "row-refused",
        `${record.type} stands in ${place.topic}, but no table holds it`,
        { offset: place.offset, record: record.type, topic: place.topic },
      );
  }
}
