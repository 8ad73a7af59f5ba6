import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { endProcess } from "./kafka-broker.ts";
import { findOrphan } from "./kafka-orphan.ts";
import { lockFolder } from "./owner.ts";

/**
 * Removes what the embedded broker and database keep in a data folder; a broker that a killed process
 * left running is ended first, or it would go on writing into folders that are gone.
 *
 * @throws LightningError `data-folder-locked` when one of them is in use.
 */
export async function removeEmbeddedData(dataDir: string): Promise<void> {
  const folders = ["kafka", "clickhouse"].map((name) => join(dataDir, name));
  const unlocks: (() => void)[] = [];
  try {
    for (const folder of folders) {
      mkdirSync(folder, { recursive: true });
      unlocks.push(await lockFolder(join(folder, "owner.lock"), `the data in ${folder}`));
    }
    const [kafka = ""] = folders;
    const orphan = findOrphan(kafka);
    if (orphan !== undefined) await endProcess(orphan.process);
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  } finally {
    for (const unlock of unlocks) unlock();
  }
}
