// A folder in the system's temporary one; where that is missing or full, an error that names it and says what
// decides where it is. Its name says whose it is: what killed processes have left there goes first.
import { randomBytes } from "node:crypto";
import { lstat, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { fileError, systemCode } from "./fileSystem.ts";
import { isOwnerGone, ownerName } from "./owners.ts";

/** mttc-<what for>-<owner>-<random>. */
const NAME = /^mttc-(?:[a-z]+-)?([0-9a-f]{8}-\d+-[0-9a-f]{8})-[0-9A-Za-z]{6}$/;

/**
 * Makes a folder for a purpose, a word of small letters; the caller removes it, or, should this process be
 * killed, the next one that makes such a folder on this machine. E_FILE, E_DISK.
 */
export async function temporaryFolder(purpose: string): Promise<string> {
  const parent = tmpdir();
  await removeAbandoned(parent);
  try {
    return await mkdtemp(join(parent, `mttc-${purpose}-${ownerName()}-`));
  } catch (cause) {
    const error = fileError(cause, parent, "make a temporary folder in it");
    if (!(error instanceof MttcError) || error.code !== "E_FILE") throw error;
    const hint = "the environment variable TMPDIR (TEMP on Windows) names the folder of temporary files";
    throw new MttcError({ ...error.faults[0]!, hint }, { cause });
  }
}

/**
 * Removes this user's temporary folders of processes that have ended. Those of another machine, or of an
 * earlier start of this one, are left to the system.
 */
async function removeAbandoned(parent: string): Promise<void> {
  // A folder that cannot be listed is told of when one is made in it.
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const owner = NAME.exec(name)?.[1];
    if (owner === undefined || isOwnerGone(owner) !== true) continue;
    try {
      const path = join(parent, name);
      const stat = await lstat(path);
      if (!stat.isDirectory() || stat.uid !== (process.getuid?.() ?? stat.uid)) continue;
      // Processes that start together find the same ones: whoever renames it first removes it.
      const own = join(parent, `mttc-trash-${ownerName()}-${randomBytes(3).toString("hex")}`);
      await rename(path, own);
      await rm(own, { recursive: true, force: true });
    } catch (error) {
      // It stays: what this process makes a folder for does not depend on it.
      if (systemCode(error) === undefined) throw error;
    }
  }
}
