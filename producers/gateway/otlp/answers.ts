/** The two encodings of OTLP/HTTP. */
export type Format = "protobuf" | "json";

export const contentTypes = {
  protobuf: "application/x-protobuf",
  json: "application/json",
} as const satisfies Record<Format, string>;

/** Format of a media type, whose parameters do not count; null for another one. */
export function formatOf(contentType: string | undefined): Format | null {
  const media = (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (media === contentTypes.protobuf || media === "application/protobuf") return "protobuf";
  return media === contentTypes.json ? "json" : null;
}

/** An `ExportTraceServiceResponse`: empty when every span was taken. */
export function exportResponse(format: Format, rejected: number, message: string): Buffer {
  if (format === "json") {
    const partialSuccess = { rejectedSpans: String(rejected), errorMessage: message };
    return Buffer.from(JSON.stringify(rejected === 0 ? {} : { partialSuccess }));
  }
  if (rejected === 0) return Buffer.alloc(0);
  return field(1, Buffer.concat([number(1, rejected), field(2, Buffer.from(message))]));
}

/** A `google.rpc.Status`; `code` is a gRPC code. */
export function rpcStatus(format: Format, code: number, message: string): Buffer {
  if (format === "json") return Buffer.from(JSON.stringify({ code, message }));
  return Buffer.concat([number(1, code), field(2, Buffer.from(message))]);
}

/** The gRPC code that goes with an HTTP status, as far as OTLP clients look at it. */
export function rpcCode(httpStatus: number): number {
  const codes: Readonly<Record<number, number>> = {
    401: 16,
    403: 7,
    404: 5,
    409: 10,
    413: 8,
    500: 13,
    503: 14,
    504: 4,
  };
  return codes[httpStatus] ?? 3;
}

function field(id: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([id * 8 + 2]), varint(bytes.length), bytes]);
}

function number(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([id * 8]), varint(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}
