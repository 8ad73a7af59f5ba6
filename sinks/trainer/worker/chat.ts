import type { Call, ChatMessage, Parameter, Tool } from "./request.ts";
import { encodeText } from "./tokenizer.ts";
import { markId } from "./vocabulary.ts";

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

function parameterOf({ function: { parameters } }: Tool, name: string): Parameter {
  const properties = parameters?.properties ?? {};
  return Object.hasOwn(properties, name) ? (properties[name] ?? {}) : {};
}

function toolIds(tool: Tool): number[] {
  const { name, description, parameters } = tool.function;
  const required = parameters?.required ?? Object.keys(parameters?.properties ?? {});
  return [
    markId("<function>"),
    ...encodeText(name),
    ...encodeText(description ?? ""),
    ...required.flatMap((each) => parameterIds(each, parameterOf(tool, each))),
  ];
}

/** The value that a generated argument stands for, of the type its function declares. */
export function argumentValue(tool: Tool | undefined, name: string, text: string): unknown {
  const { type, enum: values } = tool === undefined ? {} : parameterOf(tool, name);
  if (values !== undefined) return values.find((value) => valueText(value) === text) ?? text;
  return type === "integer" || type === "number" ? Number(text) : text;
}

/** A call with its arguments in order; what is not a JSON object is spelt as it stands. */
function callIds({ function: { name, arguments: text } }: Call): number[] {
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
