import type { IncomingMessage } from "node:http";
import { exception } from "./clickhouse-exception.ts";

/** What a request asks for besides its statement. */
export type Ask = {
  /** The statement, or its beginning: the body follows it. */
  readonly query: string;
  readonly queryId: string | undefined;
  readonly database: string | undefined;
  readonly defaultFormat: string;
  /** Settings and `param_` values. */
  readonly settings: Map<string, string>;
  readonly compress: boolean;
  /** Nothing is sent before the statement has ended. */
  readonly waitEnd: boolean;
};

/** Settings of the HTTP layer: ours, not the engine's. */
const ownSettings = new Set(
  [
    "query query_id database default_format user password quota_key",
    "session_id session_timeout session_check close_session role stacktrace",
    "compress decompress buffer_size wait_end_of_query client_protocol_version",
    "enable_http_compression http_zlib_compression_level http_wait_end_of_query",
    "http_native_compression_disable_checksumming_on_decompress http_response_buffer_size",
    "http_write_exception_in_output_format send_progress_in_http_headers",
    "http_headers_progress_interval_ms cancel_http_readonly_queries_on_client_close",
    "add_http_cors_header http_response_headers",
  ].flatMap((line) => line.split(" ")),
);

/** Reads the URL and headers. `form` holds the parts of a multipart body: they count like the URL's. */
export function readAsk(request: IncomingMessage, form: readonly [string, string][]): Ask {
  const url = urlOf(request);
  const all = new Map([...url.searchParams, ...form]);
  const flag = (name: string) => ["1", "true"].includes(all.get(name) ?? "");
  const header = (name: string) => headerOf(request, name);
  if (flag("compress") || flag("decompress")) {
    throw exception(48, "ClickHouse's native compression is not supported here: use gzip");
  }
  const settings = new Map<string, string>();
  for (const [name, value] of all) {
    if (ownSettings.has(name)) continue;
    if (!/^[A-Za-z_]\w*$/.test(name)) throw exception(408, `Bad parameter name: ${name}`);
    settings.set(name, value);
  }
  // As in ClickHouse: a GET must change nothing, but may still choose settings.
  const changesNothing = request.method === "GET" || request.method === "HEAD";
  if (changesNothing && (settings.get("readonly") ?? "0") === "0") settings.set("readonly", "2");
  return {
    query: all.get("query") ?? "",
    queryId: all.get("query_id"),
    database: all.get("database") ?? header("x-clickhouse-database"),
    defaultFormat: all.get("default_format") ?? header("x-clickhouse-format") ?? "TabSeparated",
    settings,
    compress: flag("enable_http_compression"),
    waitEnd: flag("wait_end_of_query") || flag("http_wait_end_of_query"),
  };
}

/** @throws an exception when the request line holds no URL */
export function urlOf(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? "/", "http://localhost");
  } catch {
    throw exception(408, "Bad request URL");
  }
}

export function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/**
 * Refuses other users than `default` without password, and requests that a web page of another site
 * makes a browser send: whoever can send statements here can read and write files.
 */
export function authenticate(request: IncomingMessage): void {
  const host = headerOf(request, "host");
  const origin = headerOf(request, "origin");
  if (!isLocal(host) || (origin !== undefined && !isLocal(origin.replace(/^https?:\/\//, "")))) {
    throw exception(497, "requests from other hosts' pages are not allowed");
  }
  const { user, password } = credentials(request);
  if ((user !== "" && user !== "default") || password !== "") {
    throw exception(
      516,
      `${user}: Authentication failed: password is incorrect, or there is no user with such name.`,
    );
  }
}

function isLocal(host: string | undefined): boolean {
  if (host === undefined) return true;
  return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/i.test(host);
}

function credentials(request: IncomingMessage): { user: string; password: string } {
  const basic = /^Basic (.+)$/i.exec(headerOf(request, "authorization") ?? "")?.[1];
  if (basic !== undefined) {
    const [user = "", ...rest] = Buffer.from(basic, "base64").toString().split(":");
    return { user, password: rest.join(":") };
  }
  const query = urlOf(request).searchParams;
  return {
    user: headerOf(request, "x-clickhouse-user") ?? query.get("user") ?? "",
    password: headerOf(request, "x-clickhouse-key") ?? query.get("password") ?? "",
  };
}

/** The named text parts of a multipart/form-data body, which clients use for long parameters. */
export function readForm(body: Buffer, contentType: string): [string, string][] {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1];
  if (boundary === undefined) throw exception(408, "multipart body without a boundary");
  return body
    .toString("latin1")
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => {
      const blank = part.indexOf("\r\n\r\n");
      const head = part.slice(0, blank);
      const name = /name="([^"]*)"/.exec(head)?.[1];
      if (blank < 0 || name === undefined || /filename=/.test(head)) {
        throw exception(48, "external tables in multipart bodies are not supported here");
      }
      return [name, Buffer.from(part.slice(blank + 4, -2), "latin1").toString()];
    });
}
