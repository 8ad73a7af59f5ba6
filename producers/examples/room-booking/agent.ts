import OpenAI from "openai";
import type { Outcome } from "./grade.ts";
import { hours, listRooms, timeOf } from "./rooms.ts";

/** An OpenAI-compatible endpoint. */
export type Model = {
  readonly baseURL: string;
  readonly apiKey: string;
  readonly model: string;
  readonly temperature?: number;
};

/** What the agent is told. */
export const system =
  "You book meeting rooms. Look up the rooms at the time asked for, then answer with the id of the " +
  "smallest free room that seats everyone and has everything asked for. Answer with the id alone.";

/** The one tool it has. */
export const tools: OpenAI.Chat.Completions.ChatCompletionTool[] = [
  {
    type: "function",
    function: {
      name: "list_rooms",
      description: "List the rooms and whether they are free at a time.",
      parameters: {
        type: "object",
        properties: { time: { type: "string", enum: hours.map(timeOf) } },
        required: ["time"],
      },
    },
  },
];

/** Calls of the model after which the agent gives up. */
const mostCalls = 4;

/**
 * Finds a room: an ordinary agent on the `openai` package. It knows nothing of Lightning Stream,
 * Kafka or rewards; the base URL alone decides whether its calls are recorded.
 */
export async function bookRoom(request: string, model: Model): Promise<Outcome> {
  const client = new OpenAI({ baseURL: model.baseURL, apiKey: model.apiKey, maxRetries: 2 });
  const messages: OpenAI.Chat.Completions.ChatCompletionMessageParam[] = [
    { role: "system", content: system },
    { role: "user", content: request },
  ];
  let lookedUpHour: number | null = null;
  for (let call = 0; call < mostCalls; call++) {
    const completion = await client.chat.completions.create({
      model: model.model,
      messages,
      tools,
      ...(model.temperature === undefined ? {} : { temperature: model.temperature }),
    });
    const message = completion.choices[0]?.message;
    if (message === undefined) break;
    if (message.tool_calls === undefined || message.tool_calls.length === 0) {
      return { lookedUpHour, answer: message.content ?? "" };
    }
    messages.push(message);
    for (const tool of message.tool_calls) {
      const hour = tool.type === "function" ? hourOf(tool.function.arguments) : null;
      lookedUpHour = hour ?? lookedUpHour;
      const content = hour === null ? "No such time." : listRooms(hour);
      messages.push({ role: "tool", tool_call_id: tool.id, content });
    }
  }
  return { lookedUpHour, answer: "" };
}

/** The hour a tool call asks for; null when its arguments name none. */
function hourOf(json: string): number | null {
  try {
    const { time } = JSON.parse(json) as { time?: unknown };
    return hours.find((hour) => timeOf(hour) === time) ?? null;
  } catch {
    // A model may write arguments that are no JSON; the tool then says so.
    return null;
  }
}
