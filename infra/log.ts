import { type Logger, pino } from "pino";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

/** Structured logs on stderr: stdout belongs to what a person asked for. Secrets are cut out. */
export function createLog(level: LogLevel, role: string): Logger {
  return pino(
    {
      level,
      base: { role, pid: process.pid },
      redact: {
        paths: [
          "password",
          "*.password",
          "api_key",
          "*.api_key",
          "authorization",
          "*.authorization",
        ],
        censor: "[redacted]",
      },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
