import { type TSchema, Type } from "@fastify/type-provider-typebox";
import type { CreditBody } from "../choices.ts";
import { longestId } from "../ids.ts";

/** An id: the same rule as {@link isId}. */
export const Id = Type.String({
  minLength: 1,
  maxLength: longestId,
  pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
});

/** A number that may be null; null means never. */
export const Seconds = Type.Unsafe<number | null>({ type: ["number", "null"], minimum: 0 });

/** A field that may be null. */
export function nullable<T extends string>(
  schema: TSchema,
): ReturnType<typeof Type.Unsafe<T | null>> {
  return Type.Unsafe<T | null>({ ...schema, type: ["string", "null"] });
}

/** An object without other fields than these. */
export const closed = { additionalProperties: false } as const;

/** A JSON object of the caller's own. */
export const FreeObject = Type.Unsafe<Record<string, unknown>>({ type: "object" });

/** What a field that takes JSON of many names may hold. */
const many = { maxProperties: 100 } as const;

/** A credit strategy; what its names and numbers may be is checked in choices.ts. */
export const CreditFields = Type.Object(
  {
    strategy: Type.String({ minLength: 1, maxLength: 100 }),
    parameters: Type.Optional(
      Type.Unsafe<Record<string, number>>({
        type: "object",
        additionalProperties: { type: "number" },
        ...many,
      }),
    ),
    options: Type.Optional(
      Type.Unsafe<Record<string, string>>({
        type: "object",
        additionalProperties: { type: "string", maxLength: 1000 },
        ...many,
      }),
    ),
  },
  closed,
);

const TaskConfigFields = Type.Object(
  {
    timeout_seconds: Type.Optional(Seconds),
    unresponsive_seconds: Type.Optional(Seconds),
    max_attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    retry_condition: Type.Optional(
      Type.Array(
        Type.Unsafe<string>({ type: "string", enum: ["failed", "timeout", "unresponsive"] }),
        { maxItems: 3 },
      ),
    ),
    grace_seconds: Type.Optional(Type.Number({ minimum: 0 })),
    claim_seconds: Type.Optional(Seconds),
    retention_seconds: Type.Optional(Type.Number({ minimum: 0 })),
  },
  closed,
);

/** A task as `POST /rollouts` takes it. */
export const Task = Type.Object(
  {
    input: Type.Unknown(),
    rollout_id: Type.Optional(Id),
    request_id: Type.Optional(Id),
    mode: Type.Optional(
      Type.Unsafe<string | null>({
        type: ["string", "null"],
        enum: ["train", "val", "test", null],
      }),
    ),
    resources_id: Type.Optional(nullable<string>(Id)),
    group_id: Type.Optional(nullable<string>(Id)),
    group_size: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
    group_deadline_seconds: Type.Optional(Type.Number({ minimum: 0 })),
    credit: Type.Optional(CreditFields),
    selection: Type.Optional(FreeObject),
    metadata: Type.Optional(FreeObject),
    config: Type.Optional(TaskConfigFields),
    start: Type.Optional(Type.Boolean()),
    worker_id: Type.Optional(nullable<string>(Id)),
  },
  closed,
);

/** Most tasks in one request. */
export const mostTasks = 1000;

/**
 * One task or a list of them. JSON Schema applies `properties` to objects and `items` to lists only,
 * so one schema says both and its errors still name the field, which those of a union do not.
 */
export const Tasks = Type.Unsafe<TaskBody | TaskBody[]>({
  ...Task,
  type: ["object", "array"],
  items: Task,
  minItems: 1,
  maxItems: mostTasks,
});

export type TaskBody = {
  input: unknown;
  rollout_id?: string;
  request_id?: string;
  mode?: string | null;
  resources_id?: string | null;
  group_id?: string | null;
  group_size?: number;
  group_deadline_seconds?: number;
  credit?: CreditBody;
  selection?: Record<string, unknown>;
  metadata?: Record<string, unknown>;
  config?: {
    timeout_seconds?: number | null;
    unresponsive_seconds?: number | null;
    max_attempts?: number;
    retry_condition?: string[];
    grace_seconds?: number;
    claim_seconds?: number | null;
    retention_seconds?: number;
  };
  start?: boolean;
  worker_id?: string | null;
};
