import { Type, type TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
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

/** Read-only SQL over everything that was recorded. */
export function sqlRoutes(plain: FastifyInstance, gateway: Gateway): void {
  const scope = plain.withTypeProvider<TypeBoxTypeProvider>();
  scope.post("/sql", { schema: { body: Question } }, async (request, reply) => {
    const { query, format = "JSON" } = request.body;
    const answer = await gateway.sql(query, format);
    return reply.header("content-type", formats[format] ?? "text/plain").send(answer);
  });
}
