import { type Static, type TSchema, Type } from "@sinclair/typebox";

const nullable = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const mostChoices = 128;

const Part = Type.Object({ type: Type.String(), text: Type.Optional(Type.String()) });

const Call = Type.Object({
  function: Type.Object({ name: Type.String(), arguments: Type.String() }),
});

const Message = Type.Object({
  role: Type.Union(
    (["system", "developer", "user", "assistant", "tool"] as const).map((role) =>
      Type.Literal(role),
    ),
  ),
  content: nullable(Type.Union([Type.String(), Type.Array(Part)])),
  tool_calls: nullable(Type.Array(Call)),
});

const Parameter = Type.Object({
  type: Type.Optional(Type.Unknown()),
  enum: Type.Optional(Type.Array(Type.Unknown())),
});

const Parameters = Type.Object({
  properties: Type.Optional(Type.Record(Type.String(), Parameter)),
  required: Type.Optional(Type.Array(Type.String())),
});

const Tool = Type.Object({
  function: Type.Object({
    name: Type.String(),
    description: nullable(Type.String()),
    parameters: nullable(Parameters),
  }),
});

/**
 * What this model understands of OpenAI's request. Other fields are let through and have no effect;
 * those that would change the answer, and cannot, are refused rather than ignored.
 */
export const ChatRequest = Type.Object({
  messages: Type.Array(Message, { minItems: 1 }),
  tools: nullable(Type.Array(Tool)),
  tool_choice: nullable(Type.Union([Type.Literal("auto"), Type.Literal("none")])),
  temperature: nullable(Type.Number({ minimum: 0, maximum: 2 })),
  n: nullable(Type.Integer({ minimum: 1, maximum: mostChoices })),
  seed: nullable(Type.Integer()),
  max_tokens: nullable(Type.Integer({ minimum: 1 })),
  max_completion_tokens: nullable(Type.Integer({ minimum: 1 })),
  stream: nullable(Type.Literal(false)),
});
export type ChatRequest = Static<typeof ChatRequest>;

/** A message of a conversation, of which the chat template uses these fields. */
export type ChatMessage = Static<typeof Message>;

/** A function the model may call; of its JSON Schema the flat properties count. */
export type Tool = Static<typeof Tool>;

/** An argument of a function: values allowed, or the type of any. */
export type Parameter = Static<typeof Parameter>;

/** A call of a function; `arguments` is JSON text. */
export type Call = Static<typeof Call>;
