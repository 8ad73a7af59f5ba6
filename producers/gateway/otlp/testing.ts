/** Writes OTLP protobuf for tests, by field number, so that broken messages can be written too. */
import type { SpanRecorded } from "../../../schemas/types.ts";
import type { TestGateway } from "../testing.ts";

export function varint(value: bigint | number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

export function bytesField(id: number, value: Buffer | string): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint(id * 8 + 2), varint(bytes.length), bytes]);
}

export function varintField(id: number, value: bigint | number): Buffer {
  return Buffer.concat([varint(id * 8), varint(value)]);
}

export function fixed64Field(id: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.concat([varint(id * 8 + 1), bytes]);
}

/** An `AnyValue`: text, a truth value, a bigint as integer, a number as double, bytes, list or map. */
export function anyValue(value: unknown): Buffer {
  if (typeof value === "string") return bytesField(1, value);
  if (typeof value === "boolean") return varintField(2, value ? 1 : 0);
  if (typeof value === "bigint") return varintField(3, value);
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return Buffer.concat([varint(33), bytes]);
  }
  if (value instanceof Uint8Array) return bytesField(7, Buffer.from(value));
  if (Array.isArray(value)) {
    return bytesField(5, Buffer.concat(value.map((item) => bytesField(1, anyValue(item)))));
  }
  if (typeof value !== "object" || value === null) return Buffer.alloc(0);
  return bytesField(6, keyValues(1, value as Record<string, unknown>));
}

export function keyValues(id: number, attributes: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.concat(
    Object.entries(attributes).map(([key, value]) =>
      bytesField(id, Buffer.concat([bytesField(1, key), bytesField(2, anyValue(value))])),
    ),
  );
}

export type TestSpan = {
  readonly traceId?: Buffer;
  readonly spanId?: Buffer;
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly more?: Buffer;
};

export const traceId = Buffer.from("0102030405060708090a0b0c0d0e0f10", "hex");
export const spanId = Buffer.from("1112131415161718", "hex");

export function span(given: TestSpan = {}): Buffer {
  return Buffer.concat([
    bytesField(1, given.traceId ?? traceId),
    bytesField(2, given.spanId ?? spanId),
    bytesField(5, "work"),
    varintField(6, 3),
    fixed64Field(7, 1_760_000_000_123_456_789n),
    fixed64Field(8, 1_760_000_001_000_000_001n),
    keyValues(9, given.attributes ?? {}),
    given.more ?? Buffer.alloc(0),
  ]);
}

/** An `ExportTraceServiceRequest` with one resource. */
export function exportRequest(
  spans: readonly Buffer[],
  resource: Readonly<Record<string, unknown>> = {},
): Buffer {
  const scope = bytesField(1, Buffer.concat([bytesField(1, "tests"), bytesField(2, "1.0")]));
  const scopeSpans = Buffer.concat([scope, ...spans.map((one) => bytesField(2, one))]);
  return bytesField(
    1,
    Buffer.concat([bytesField(1, keyValues(1, resource)), bytesField(2, scopeSpans)]),
  );
}

/** Ids as an agent's resource attributes say them. */
export const owner = {
  "agentlightning.rollout_id": "ro-1",
  "agentlightning.attempt_id": "at-1",
} as const;

export type Headers = Record<string, string>;

/** Posts an export request: bytes as protobuf, all else as JSON. */
export async function post(
  gateway: TestGateway,
  payload: Buffer | string | object,
  headers: Headers = {},
  url = "/v1/traces",
) {
  const json = !(payload instanceof Buffer);
  const type = { "content-type": json ? "application/json" : "application/x-protobuf" };
  return gateway.app.inject({ method: "POST", url, payload, headers: { ...type, ...headers } });
}

/** The spans in the log. */
export function spansOf(gateway: TestGateway): SpanRecorded[] {
  return gateway.log.records.flatMap((record) =>
    record.type === "SpanRecorded" ? [record.value] : [],
  );
}
