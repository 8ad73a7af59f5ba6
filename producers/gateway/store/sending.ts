import type { FastifyReply } from "fastify";

/** Sends JSON text; clients parse every 2xx and need the content type. */
export function sendJson(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.code(status).header("content-type", "application/json").send(text);
}
