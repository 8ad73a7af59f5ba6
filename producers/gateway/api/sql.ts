import { Type, type TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { LightningError } from "../../../schemas/errors.ts";
import type { Gateway } from "../context.ts";
import { closed } from "./fields.ts";

/** Formats of ClickHouse that answer in text, and their media types. */
const formats: Readonly<Record<string, string>> = {
  JSON: "application/json",
  JSONCompact: "application/json",
  JSONEachRow: "application/x-ndjson",
  CSV: "text/csv; charset=utf-8",
  CSVWithNames: "text/csv; charset=utf-8",
  TabSeparated: "text/tab-separated-values; charset=utf-8",
  TabSeparatedWithNames: "text/tab-separated-values; charset=utf-8",
  PrettyCompact: "text/plain; charset=utf-8",
  Markdown: "text/markdown; charset=utf-8",
  Vertical: "text/plain; charset=utf-8",
};

const Question = Type.Object(
  {
    query: Type.String({ minLength: 1, maxLength: 100_000 }),
    format: Type.Optional(Type.Unsafe<string>({ type: "string", enum: Object.keys(formats) })),
  },
  closed,
);

/**
 * Read-only SQL over everything that was recorded, of every project: so it is not served below
 * `/projects/<name>`, where it would look confined. ClickHouse's `additional_table_filters` hides rows
 * but runs a query's own PREWHERE before them, whose errors quote what was to be hidden; row policies,
 * which do not, need users that the embedded engine has not.
 */
export function sqlRoutes(plain: FastifyInstance, gateway: Gateway): void {
  if (plain.prefix.startsWith("/projects/")) {
    plain.post("/sql", async () => {
      const message =
        "SQL reads all projects and is at the root alone: POST /api/v1/sql, with WHERE project = '…' in it";
      throw new LightningError("not-found", message);
    });
    return;
  }
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  scope.post("/sql", { schema: { body: Question } }, async (request, reply) => {
    const { query, format = "JSON" } = request.body;
    const answer = await gateway.sql(query, format);
    return reply.header("content-type", formats[format] ?? "text/plain").send(answer);
  });
}
