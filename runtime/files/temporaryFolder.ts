// A folder in the system's temporary one; where that is missing or full, an error that names it and says what
// decides where it is.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { fileError } from "./fileSystem.ts";

/** Makes a folder whose name begins with `prefix`; the caller removes it. E_FILE, E_DISK. */
export async function temporaryFolder(prefix: string): Promise<string> {
  const parent = tmpdir();
  try {
    return await mkdtemp(join(parent, prefix));
  } catch (cause) {
    const error = fileError(cause, parent, "make a temporary folder in it");
    if (!(error instanceof MttcError) || error.code !== "E_FILE") throw error;
    const hint = "the environment variable TMPDIR (TEMP on Windows) names the folder of temporary files";
    throw new MttcError({ ...error.faults[0]!, hint }, { cause });
  }
}
