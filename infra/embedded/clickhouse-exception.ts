import { LightningError, messageOf } from "../../schemas/errors.ts";

/** What the front refuses by itself; numbers and names are ClickHouse's own. */
const names = {
  48: "NOT_IMPLEMENTED",
  62: "SYNTAX_ERROR",
  78: "UNKNOWN_TYPE_OF_QUERY",
  202: "TOO_MANY_SIMULTANEOUS_QUERIES",
  229: "QUERY_IS_TOO_LARGE",
  243: "NOT_ENOUGH_SPACE",
  354: "ZLIB_INFLATE_FAILED",
  358: "INTO_OUTFILE_NOT_ALLOWED",
  373: "SESSION_IS_LOCKED",
  408: "BAD_REQUEST_PARAMETER",
  497: "ACCESS_DENIED",
  516: "AUTHENTICATION_FAILED",
} as const;

/** A ClickHouse exception as the server words it, without its version. */
export function exception(code: keyof typeof names, message: string): LightningError {
  const text = `Code: ${code}. DB::Exception: ${message} (${names[code]})`;
  return new LightningError("query-refused", text, { clickhouseCode: code });
}

/**
 * What the engine threw, cleaned of what our way of inserting adds to it: an exception wrapped in
 * itself, the temporary file's name, and the version, which the front appends once.
 */
export function engineException(cause: unknown): LightningError {
  const text = messageOf(cause)
    .trim()
    .replace(/^(Code: \d+\. DB::Exception: )(?:Code: \d+\. DB::Exception: )+/, "$1")
    .replace(/(?: \([A-Z_0-9]+\))? \(version [^)]*\)\.?/g, "")
    .replace(/: \(in file\/uri [^)]*\)/g, "")
    .replace(/: While executing File: data for INSERT was parsed from file/g, "");
  const code = Number(/^Code: (\d+)\./.exec(text)?.[1] ?? 0);
  return new LightningError("query-refused", text, { cause, clickhouseCode: code });
}

/** The exception's number; 0 for what is none (a bug of ours). */
export function clickhouseCode(error: unknown): number {
  const code = error instanceof LightningError ? error.fields.clickhouseCode : 0;
  return typeof code === "number" ? code : 0;
}

// ClickHouse's own table, src/Server/HTTP/exceptionCodeToHTTPStatus.cpp.
const statuses: readonly (readonly [status: number, codes: readonly number[]])[] = [
  [401, [194]],
  [403, [192, 193, 497, 512, 516]],
  [
    400,
    [
      6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 408,
      427, 441, 675, 676,
    ],
  ],
  [404, [46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511]],
  [413, [229]],
  [501, [48]],
  [503, [76, 202, 209, 439]],
  [411, [381]],
  [408, [159]],
];
const statusByCode = new Map(
  statuses.flatMap(([status, codes]) => codes.map((code) => [code, status] as const)),
);

/** The HTTP status ClickHouse gives an exception. */
export function statusOf(error: unknown): number {
  return statusByCode.get(clickhouseCode(error)) ?? 500;
}
