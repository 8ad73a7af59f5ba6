import { LightningError } from "../../../schemas/errors.ts";

/** What engines send is read leniently: a field of another type counts as absent. */
export type Json = Readonly<Record<string, unknown>>;

/** The value when it is an object. */
export function objectOf(value: unknown): Json | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Json)
    : null;
}

/** The value when it is a list; an empty one otherwise. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value when it is text that is not empty. */
export function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** The value when it is a number; 0 otherwise. */
export function countOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

/** What a model thought, of a message or of a piece of one; engines have two names for it. */
export function thoughtOf({ reasoning_content, reasoning }: Json): string | null {
  return textOf(reasoning_content) ?? textOf(reasoning);
}

/** The first choice a chunk of a stream says something of; null when it says nothing of it. */
export function firstChoice(chunk: Json): Json | null {
  const choices = listOf(chunk.choices).map(objectOf);
  return choices.find((choice) => (choice?.index ?? 0) === 0) ?? null;
}

/** The object JSON text stands for; null when it is none. */
export function parsedObject(text: string): Json | null {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return null;
  }
}

/** An agent's mistake: the field, what was read and what is allowed. */
export function invalid(field: string, read: unknown, allowed: string): LightningError {
  const shown = JSON.stringify(read)?.slice(0, 80) ?? "nothing";
  const message = `${field}: read ${shown}, allowed is ${allowed}`;
  return new LightningError("request-invalid", message, { field });
}
