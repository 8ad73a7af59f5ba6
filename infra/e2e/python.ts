import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
/** One for all tests that need a package, so that it is fetched once. */
const environment = fileURLToPath(
  new URL("../../node_modules/.cache/lightning-python", import.meta.url),
);
const installWithinMs = 300_000;

/** A Python that has these modules, by package name; null where there is no python3 at all. */
export async function pythonWith(
  packages: Readonly<Record<string, string>>,
): Promise<string | null> {
  const imports = `import ${Object.values(packages).join(", ")}`;
  const python = `${environment}/bin/python3`;
  for (const known of ["python3", python]) if (await works(known, imports)) return known;
  if (!(await works("python3", "pass"))) return null;
  if (!(await works(python, "pass"))) await createEnvironment();
  const install = ["-m", "pip", "install", "--quiet", ...Object.keys(packages)];
  await run(python, install, { timeout: installWithinMs });
  return python;
}

/** Debian's python3 comes without ensurepip when python3-venv is missing; its own pip serves then. */
async function createEnvironment(): Promise<void> {
  const own = await works("python3", "import ensurepip");
  const borrowed = own ? [] : ["--without-pip", "--system-site-packages"];
  await run("python3", ["-m", "venv", ...borrowed, environment]);
}

async function works(python: string, code: string): Promise<boolean> {
  return run(python, ["-c", code]).then(
    () => true,
    () => false,
  );
}
