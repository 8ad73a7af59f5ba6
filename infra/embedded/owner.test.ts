import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { findProcess, isRunning, lockFolder, parseProcessId } from "./owner.ts";
import { assertPortFree, freePorts } from "./port.ts";

const folder = mkdtempSync(join(tmpdir(), "lightning-owner-"));
after(() => rmSync(folder, { recursive: true }));

describe("data folder lock", () => {
  it("is held by one, who is named, and free again when given back", async () => {
    const path = join(folder, "a", "lock");
    const unlock = await lockFolder(path, "the data");
    await assert.rejects(lockFolder(path, "the data"), {
      code: "data-folder-locked",
      message: new RegExp(`the data is in use by process ${process.pid}`),
    });
    unlock();
    assert.equal(existsSync(path), false);
    (await lockFolder(path, "the data"))();
  });

  it("of a dead process, of a pid's former owner, or damaged is taken over", async () => {
    const child = spawn("true");
    await new Promise((done) => child.once("exit", done));
    const self = findProcess(process.pid);
    for (const left of [
      JSON.stringify({ pid: child.pid, started: "1" }),
      JSON.stringify({ ...self, started: "1" }),
      "{",
      "",
    ]) {
      const path = join(folder, "left");
      writeFileSync(path, left);
      const unlock = await lockFolder(path, "the data");
      assert.deepEqual(parseProcessId(readFileSync(path, "utf8")), self);
      unlock();
    }
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith("left")),
      [],
    );
  });

  it("goes to exactly one of many who find the same dead owner", async () => {
    const path = join(folder, "contended");
    writeFileSync(path, JSON.stringify({ pid: 1, started: "never" }));
    const code = `
      import { lockFolder } from ${JSON.stringify(new URL("./owner.ts", import.meta.url).href)};
      lockFolder(${JSON.stringify(path)}, "it", 300).then(
        () => { console.log("mine"); setTimeout(() => {}, 6000); },
        () => console.log("locked"),
      );`;
    const loader = import.meta.resolve("tsx");
    const words = ["--import", loader, "--input-type=module", "-e", code];
    const children = Array.from({ length: 4 }, () => spawn(process.execPath, words));
    const said = await Promise.all(
      children.map(
        (child) => new Promise((done) => child.stdout.once("data", (d) => done(String(d).trim()))),
      ),
    );
    for (const child of children) child.kill("SIGKILL");
    assert.deepEqual(said.sort(), ["locked", "locked", "locked", "mine"]);
  });

  it("a pid alone does not make a process the same", () => {
    const self = findProcess(process.pid);
    assert.ok(self !== undefined && isRunning(self));
    if (process.platform === "linux") assert.equal(isRunning({ ...self, started: "1" }), false);
  });
});

describe("ports", () => {
  it("free ones differ and are free; a taken one is named with its holder", async () => {
    const ports = await freePorts(3);
    assert.equal(new Set(ports).size, 3);
    for (const port of ports) await assertPortFree(port, "a test");
    const [port = 0] = ports;
    const server = createServer().listen(port, "127.0.0.1");
    await new Promise((done) => server.once("listening", done));
    const holder = process.platform === "linux" ? `\\(pid ${process.pid}\\)` : "another program";
    await assert.rejects(assertPortFree(port, "a test"), {
      code: "port-in-use",
      message: new RegExp(`port ${port}, wanted for a test, is in use by .*${holder}`),
    });
    server.close();
  });
});
