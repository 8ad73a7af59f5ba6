import { LightningError } from "../../schemas/errors.ts";
import { type Attempt, validAttempt } from "./attempt.ts";

/** A rollout as its agent sees it, with the attempt that was claimed. */
export type Rollout = Attempt & {
  /** The task. */
  readonly input: unknown;
  readonly mode: string | null;
  readonly resourcesId: string | null;
  readonly resourcesVersion: number | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Base URL for LLM calls through the gateway, which records them as spans of this attempt. */
  readonly openaiBaseUrl: string;
  /** The gateway's answer, whole. */
  readonly raw: Readonly<Record<string, unknown>>;
};

/** Reads a rollout of the gateway's API; throws `gateway-unavailable` for an answer without ids. */
export function rolloutFrom(answer: unknown, project: string, root: string): Rollout {
  const raw = objectOf(answer);
  const attempts = Array.isArray(raw.attempts) ? raw.attempts : [];
  const attempt = objectOf(raw.attempt ?? attempts.at(-1));
  const rolloutId = raw.rollout_id;
  const attemptId = attempt.attempt_id ?? raw.attempt_id;
  if (typeof rolloutId !== "string" || typeof attemptId !== "string") {
    throw new LightningError(
      "gateway-unavailable",
      `the gateway's answer has rollout_id ${JSON.stringify(rolloutId)} and attempt_id ${JSON.stringify(attemptId)}, expected two texts`,
    );
  }
  const path = `/rollout/${encodeURIComponent(rolloutId)}/attempt/${encodeURIComponent(attemptId)}`;
  return {
    ...validAttempt({ project, rolloutId, attemptId }),
    input: raw.input,
    mode: typeof raw.mode === "string" ? raw.mode : null,
    resourcesId: typeof raw.resources_id === "string" ? raw.resources_id : null,
    resourcesVersion: typeof raw.resources_version === "number" ? raw.resources_version : null,
    metadata: objectOf(raw.metadata),
    attempt: typeof attempt.sequence_id === "number" ? attempt.sequence_id : 1,
    openaiBaseUrl:
      typeof raw.openai_base_url === "string" ? raw.openai_base_url : `${root}${path}/v1`,
    raw,
  };
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
