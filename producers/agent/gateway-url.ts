import { LightningError } from "../../schemas/errors.ts";

const tail = /\/projects\/([^/]+)$/;

/**
 * Address of a project below a gateway: the root is the project `default`, others are under
 * `/projects/<name>`. The given address may be either. No slash at the end.
 */
export function projectUrl(gatewayUrl: string, project: string): string {
  const root = rootOf(gatewayUrl);
  return project === "default" ? root : `${root}/projects/${project}`;
}

/** The project an address names; undefined for the root. */
export function projectIn(gatewayUrl: string): string | undefined {
  return tail.exec(trimmed(gatewayUrl))?.[1];
}

function rootOf(gatewayUrl: string): string {
  const url = trimmed(gatewayUrl);
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new LightningError(
      "config-invalid",
      `gatewayUrl is ${JSON.stringify(gatewayUrl)}, must be an http or https address`,
    );
  }
  return url.replace(tail, "");
}

function trimmed(gatewayUrl: string): string {
  return String(gatewayUrl).replace(/\/+$/, "");
}
