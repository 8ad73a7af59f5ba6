import cors from "@fastify/cors";
import type { FastifyInstance } from "fastify";

/** Seconds a browser may keep a preflight's answer. */
const maxAge = 600;

/**
 * Lets browsers ask from other origins, credentials included, as the reference's `--cors-origin`
 * does: an origin that is not named is served without the header, which is what stops a browser.
 *
 * @param origins `*` among them is any.
 */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return;
  app.register(cors, {
    // With credentials a literal * is refused by browsers: any origin is told its own name.
    origin: origins.includes("*") ? true : [...origins],
    credentials: true,
    methods: ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
    exposedHeaders: "*",
    maxAge,
    optionsSuccessStatus: 200,
  });
}
