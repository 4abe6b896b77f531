// Takes away what a killed process left in a folder that several may use, where there is nothing else to do
// in it: its lock, files half-written. Whoever works there now is left alone.
import { readdir } from "node:fs/promises";
import { MttcError } from "../../compiler/diagnostics.ts";
import { systemCode } from "./fileSystem.ts";
import { removeLeftovers } from "./leftovers.ts";
import { acquireRunLock, type LockPurpose } from "./runLock.ts";

/** Nothing happens without leftovers, in a folder that is not there, may not be written to, or is locked. */
export async function tidyFolder(folder: string, purpose: LockPurpose): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemCode(error) === undefined) throw error;
    return [];
  });
  if (!names.some((name) => /^\.(lock|tmp|old|trash)-/.test(name))) return;
  try {
    // Taking the lock removes those of processes that are gone.
    await using _lock = await acquireRunLock(folder, purpose);
    await removeLeftovers(folder);
  } catch (error) {
    // E_FILE: it is only to be read.
    if (!(error instanceof MttcError) || !["E_RUN_LOCKED", "E_FILE"].includes(error.code)) throw error;
  }
}
