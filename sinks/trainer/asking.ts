import type { FastifyInstance } from "fastify";
import { buildTrainer, defaultTrainerSettings, type TrainerSettings } from "./app.ts";
import { type DrivenTrainer, driveTrainer } from "./drive.ts";
import { group } from "./fixtures.ts";

export type Answer = { readonly status: number; readonly body: Record<string, unknown> };

/** Posts JSON, or a Buffer as it is. */
export async function post(app: FastifyInstance, url: string, body: unknown = {}): Promise<Answer> {
  const packed = Buffer.isBuffer(body);
  const response = await app.inject({
    method: "POST",
    url,
    headers: { "content-type": packed ? "application/octet-stream" : "application/json" },
    payload: packed || typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.statusCode, body: response.body === "" ? {} : response.json() };
}

/** What an error answer says. */
export function messageIn({ body }: Answer): string {
  return (body.error as { message: string } | undefined)?.message ?? "";
}

/** A trainer over groups g0, g1, … of two rows each. */
export async function trainerWith(
  groups: number,
  options: Parameters<typeof driveTrainer>[0] = {},
  settings: Partial<TrainerSettings> = {},
): Promise<{ port: DrivenTrainer; app: FastifyInstance }> {
  const port = await driveTrainer(options);
  for (let i = 0; i < groups; i++) port.driven[0]?.append(group(`g${i}`, 2));
  port.run();
  return { port, app: buildTrainer(port, { ...defaultTrainerSettings, ...settings }) };
}

/** A trainer that listens, for those who come over HTTP. */
export type Served = {
  readonly url: string;
  readonly port: DrivenTrainer;
  /** A group of two rows, of the versions that a lease takes. */
  add(id: string): void;
  close(): Promise<void>;
};

export async function serveTrainer(): Promise<Served> {
  const { port, app } = await trainerWith(0);
  return {
    url: await app.listen({ port: 0, host: "127.0.0.1" }),
    port,
    add(id) {
      port.driven[0]?.append(group(id, 2, { min_policy_version: 1 }, { policy_version: 1 }));
      port.run();
    },
    close: () => app.close(),
  };
}
