import { reasonOf } from "../command.ts";

/** An HTTP answer, or why there is none. */
export type Answer =
  | { readonly status: number; readonly body: unknown }
  | { readonly failure: string };

const withinMs = 3000;

/** Asks an HTTP service for JSON. A user and password in the address become its authorisation. */
export async function askJson(
  base: string,
  path: string,
  login: { readonly user: string; readonly password: string } = { user: "", password: "" },
): Promise<Answer> {
  const url = new URL(`${base.replace(/\/+$/, "")}${path}`);
  const user = login.user === "" ? decodeURIComponent(url.username) : login.user;
  const password = login.user === "" ? decodeURIComponent(url.password) : login.password;
  // fetch refuses addresses that carry a password.
  url.username = "";
  url.password = "";
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  try {
    const response = await fetch(url, {
      headers: user === "" ? {} : { authorization },
      signal: AbortSignal.timeout(withinMs),
    });
    const text = await response.text();
    return { status: response.status, body: parse(text) };
  } catch (error) {
    return { failure: reasonOf((error as Error).cause ?? error) };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
