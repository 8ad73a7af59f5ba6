import { messageOf } from "../../../schemas/errors.ts";
import { printable } from "../table.ts";

/** What a check found, and what to do about it. */
export type Finding = {
  readonly level: "ok" | "warn" | "fail";
  readonly what: string;
  /** What to do; absent when there is nothing to do. */
  readonly advice?: string;
};

export const ok = (what: string): Finding => ({ level: "ok", what });
export const warn = (what: string, advice: string): Finding => ({ level: "warn", what, advice });
export const fail = (what: string, advice: string): Finding => ({ level: "fail", what, advice });

/** One line. */
export function lineOf({ level, what, advice }: Finding): string {
  const line = `${level.padEnd(4)}  ${what}${advice === undefined ? "" : `  — ${advice}`}`;
  return printable(line);
}

/** An address without the user and password it may carry. */
export function withoutPassword(address: string): string {
  if (!URL.canParse(address)) return address;
  const url = new URL(address);
  if (url.username === "" && url.password === "") return address;
  url.username = "";
  url.password = "";
  return url.href;
}

/** A message without the secrets of this configuration, wherever they came from. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret !== "")
    .reduce((cleaned, secret) => cleaned.replaceAll(secret, "[secret]"), text);
}

/** An error's message on one line. */
export function shortMessage(error: unknown): string {
  const [first = ""] = messageOf(error).split("\n");
  return first.length > 300 ? `${first.slice(0, 300)}…` : first;
}
