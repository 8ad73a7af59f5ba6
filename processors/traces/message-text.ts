import { quoted } from "./json-text.ts";
import type { Message } from "./messages.ts";

/**
 * The JSON text of a message, as `JSON.stringify` writes it. Most are a role and a text with nothing
 * to escape, which is found out in half the time that writing it character by character takes.
 */
export function messageText(message: Message): string {
  const { role, content } = message;
  if (typeof content !== "string" || !isPlain(message)) return JSON.stringify(message);
  return `{"role":${quoted(role)},"content":${quoted(content)}}`;
}

/** The same of a list of them. */
export function messagesText(messages: readonly Message[]): string {
  return `[${messages.map(messageText).join()}]`;
}

/** Whether role and content, in this order, are all there is. */
function isPlain(message: Message): boolean {
  let names = 0;
  for (const name in message) {
    if (name !== (names === 0 ? "role" : "content")) return false;
    names++;
  }
  return names === 2;
}
