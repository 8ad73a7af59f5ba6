import { encodeText } from "./tokenizer.ts";
import { markId } from "./vocabulary.ts";

/** A call of a function as OpenAI writes it; `arguments` is JSON text. */
export type ToolCall = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
};

/** A message as OpenAI writes it, of which the template uses these fields. */
export type ChatMessage = {
  readonly role: "system" | "developer" | "user" | "assistant" | "tool";
  readonly content?: string | null | readonly { readonly type: string; readonly text?: string }[];
  readonly tool_calls?: readonly Pick<ToolCall, "function">[] | null;
};

/** A function the model may call; of `parameters` (JSON Schema) the flat properties count. */
export type Tool = {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description?: string;
    readonly parameters?: {
      readonly properties?: Readonly<Record<string, Parameter>>;
      readonly required?: readonly string[];
    };
  };
};

type Parameter = { readonly type?: unknown; readonly enum?: readonly unknown[] };

const valueText = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value);

function parameterIds(name: string, { type, enum: values }: Parameter): number[] {
  const ids = [markId("<parameter>"), ...encodeText(name)];
  if (values !== undefined) {
    const spelt = values.map((value) => [markId("<enum>"), ...encodeText(valueText(value))]);
    return [...ids, ...spelt.flat()];
  }
  if (type === "integer" || type === "number") return [...ids, markId("<integer>")];
  return type === "string" ? [...ids, markId("<string>")] : ids;
}

function toolIds({ function: { name, description = "", parameters = {} } }: Tool): number[] {
  const { properties = {}, required = Object.keys(properties) } = parameters;
  return [
    markId("<function>"),
    ...encodeText(name),
    ...encodeText(description),
    ...required.flatMap((each) => parameterIds(each, properties[each] ?? {})),
  ];
}

/** A call with its arguments in order; what is not a JSON object is spelt as it stands. */
function callIds({ function: { name, arguments: text } }: Pick<ToolCall, "function">): number[] {
  let values: unknown[] = [text];
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed !== null && typeof parsed === "object") values = Object.values(parsed);
  } catch {
    // Another model may have written arguments that are no JSON; they are still part of the text.
  }
  return [
    markId("<call>"),
    ...encodeText(name),
    ...values.flatMap((value) => encodeText(valueText(value))),
  ];
}

function contentText(content: ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  return (content ?? []).map(({ text = "" }) => text).join("\n");
}

function messageIds({ role, content, tool_calls: calls }: ChatMessage): number[] {
  const text = encodeText(contentText(content));
  switch (role) {
    case "system":
    case "developer":
      return [markId("<system>"), ...text];
    case "user":
      return [markId("<user>"), ...text];
    case "tool":
      return [markId("<tool>"), ...text];
    case "assistant": {
      const said = text.length > 0 ? [markId("<say>"), ...text] : [];
      return [markId("<assistant>"), ...said, ...(calls ?? []).flatMap(callIds), markId("<end>")];
    }
  }
}

/**
 * The chat template: token ids of a conversation, ending where the model is to speak. The functions
 * stand first, then the messages; what the model generated earlier appears token for token as it was
 * generated, so the prompt of a later call begins with the prompt and response of the one before.
 */
export function encodeChat(messages: readonly ChatMessage[], tools: readonly Tool[]): number[] {
  return [...tools.flatMap(toolIds), ...messages.flatMap(messageIds), markId("<assistant>")];
}
