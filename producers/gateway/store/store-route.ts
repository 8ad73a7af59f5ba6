import type { FastifyReply, FastifyRequest } from "fastify";

/** Method, path and what answers. */
export type StoreRoute = readonly [
  "GET" | "POST",
  string,
  (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>,
];
