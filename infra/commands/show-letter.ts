import type { Tagged } from "../../schemas/records.ts";
import type { DeadLettered } from "../../schemas/types.ts";
import type { Letter } from "./letters.ts";
import { printable, printableLines } from "./table.ts";

/** Bytes shown of what cannot be decoded. */
const headBytes = 96;

/** A dead letter for people: where it is from, why it was refused, and what it holds. */
export function describeLetter({ offset, letter, bytes }: Letter, record: Tagged | null): string {
  if (letter === null) {
    return [`offset ${offset} is no dead letter; its bytes:`, hexHead(bytes)].join("\n");
  }
  const { topic, partition, code, reason } = letter;
  const headers = Object.entries(letter.headers).map(
    ([name, value]) => `${printable(name)}=${asText(value)}`,
  );
  return [
    `offset ${offset}: ${printable(code)}, refused ${timeOf(letter.at)}`,
    `  reason   ${printable(reason)}`,
    `  from     ${printable(topic)}/${partition} offset ${letter.offset}, written ${timeOf(letter.timestamp)}`,
    `  key      ${letter.key === null ? "none" : asText(letter.key)}`,
    ...(headers.length === 0 ? [] : [`  headers  ${headers.join(", ")}`]),
    indent(describeValue(letter, record)),
  ].join("\n");
}

function describeValue({ value }: DeadLettered, record: Tagged | null): string {
  if (value === null) return "value    none: a tombstone";
  const size = `value    ${value.length} bytes`;
  if (record === null) return `${size} that cannot be decoded\n${hexHead(Buffer.from(value))}`;
  const json = JSON.stringify(plain(record.value), undefined, 2);
  return `${size}, ${record.type}\n${printableLines(json)}`;
}

/** A dead letter for programs; its bytes as base64. */
export function letterAsJson(reader: string, found: Letter, record: Tagged | null): object {
  const { offset, letter } = found;
  if (letter === null) return { reader, offset, bytes_base64: found.bytes.toString("base64") };
  return {
    reader,
    offset,
    code: letter.code,
    reason: letter.reason,
    refused_at: timeOf(letter.at),
    source: {
      topic: letter.topic,
      partition: letter.partition,
      offset: letter.offset,
      timestamp: timeOf(letter.timestamp),
    },
    key_base64: base64(letter.key),
    value_base64: base64(letter.value),
    headers_base64: Object.fromEntries(
      Object.entries(letter.headers).map(([name, value]) => [name, base64(value)]),
    ),
    record: record === null ? null : { type: record.type, value: plain(record.value) },
  };
}

function base64(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString("base64");
}

/** A record as JSON can say it: bytes as their count and head, numbers JSON lacks as text. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    const head = Buffer.from(value.subarray(0, 32)).toString("hex");
    return `<${value.length} bytes${value.length === 0 ? "" : `: ${head}`}${value.length > 32 ? "…" : ""}>`;
  }
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}

/** The first bytes, 16 a line, as hex and as text. */
export function hexHead(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, headBytes); at += 16) {
    const row = bytes.subarray(at, Math.min(at + 16, headBytes));
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = [...row].map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  if (bytes.length > headBytes) lines.push(`      … ${bytes.length - headBytes} bytes more`);
  return lines.join("\n");
}

/** Text when it is text, its first bytes as hex otherwise. */
export function asText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("utf8");
  if (Buffer.from(text).equals(bytes)) return printable(text);
  const head = Buffer.from(bytes.subarray(0, 32)).toString("hex");
  return `<${bytes.length} bytes: ${head}${bytes.length > 32 ? "…" : ""}>`;
}

/** µs since epoch as ISO time. */
export function timeOf(micros: number): string {
  const date = new Date(micros / 1000);
  return Number.isNaN(date.getTime()) ? `${micros} µs` : date.toISOString();
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
