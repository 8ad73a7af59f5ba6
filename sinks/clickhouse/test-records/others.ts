import type { Tagged } from "../../../schemas/records.ts";
import { callOmitted, groupClosed, rolloutAssembled } from "./credit.ts";
import { workerChanged } from "./rollouts.ts";
import { at, credit } from "./settings.ts";

/** One record of each other kind that a table holds. */
export const others: readonly Tagged[] = [
  callOmitted(),
  {
    type: "CreditAssigned",
    value: {
      project: "default",
      group_id: "g-1",
      revision: 0,
      members: [{ rollout_id: "ro-1", advantages: [0.5, -0.5], returns: [] }],
    },
  },
  rolloutAssembled(),
  groupClosed(),
  {
    type: "ResourcesUpdated",
    value: {
      project: "default",
      resources_id: "main",
      version: 3,
      created_at: at,
      updated_at: at,
      resources: [
        { name: "policy", kind: "weights", json: "{}", blob: Uint8Array.from([0, 255, 128]) },
        { name: "prompt", kind: "prompt_template", json: '{"template":"{x}"}', blob: null },
      ],
      batch_id: "b-1",
      request_id: null,
    },
  },
  {
    type: "ProjectConfigured",
    value: {
      project: "default",
      version: 1,
      credit,
      selection: '{"repair":false}',
      group_deadline_seconds: 60,
      grace_seconds: 0,
      updated_at: at,
    },
  },
  {
    type: "BatchLeased",
    value: {
      project: "default",
      batch_id: "b-1",
      lease_id: "l-1",
      worker_id: "w-1",
      groups: ["g-1"],
      transitions: 2,
      tokens: 10,
      delivery: 1,
      policy_version: 3,
      max_staleness: 0,
      leased_at: at,
      expires_at: at + 60_000_000,
    },
  },
  {
    type: "BatchTrained",
    value: {
      project: "default",
      batch_id: "b-1",
      lease_id: "l-1",
      worker_id: "w-1",
      groups: ["g-1"],
      transitions: 2,
      delivery: 1,
      metrics: { loss: 0.1 },
      resources_id: "main",
      resources_version: 4,
      trained_at: at,
    },
  },
  {
    type: "BatchReturned",
    value: {
      project: "default",
      batch_id: "b-2",
      lease_id: "l-2",
      worker_id: "w-1",
      groups: [],
      transitions: 0,
      delivery: 1,
      reason: "expired",
      detail: null,
      returned_at: at,
    },
  },
  workerChanged(),
  {
    type: "DeadLettered",
    value: {
      reader: "clickhouse",
      topic: "spans",
      partition: 0,
      offset: 77,
      timestamp: at,
      key: Buffer.from("default/ro-1"),
      value: Buffer.from([0, 255, 1]),
      headers: { trace: Uint8Array.from([254]) },
      code: "record-malformed",
      reason: "first byte is 9",
      at,
    },
  },
];
