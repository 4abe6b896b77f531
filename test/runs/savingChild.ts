// A process of its own that saves checkpoints, for the tests that kill it or limit its file sizes. It runs
// from dist/, since Node does not run .ts files. Arguments: loop|once|lock, run directory, bytes of state.
import { MttcError } from "../../compiler/diagnostics.ts";
import { acquireRunLock } from "../../runtime/files/runLock.ts";
import { loadNewestCheckpoint, saveCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { contentOf } from "./content.ts";

const [mode, runDirectory = "", stateBytes = "0"] = process.argv.slice(2);

async function newestEpoch(): Promise<number> {
  try {
    return (await loadNewestCheckpoint(runDirectory)).epoch;
  } catch (error) {
    if (error instanceof MttcError && error.code === "E_CKPT_NONE") return 0;
    throw error;
  }
}

try {
  await using _lock = await acquireRunLock(runDirectory);
  process.stdout.write("locked\n");
  let epoch = await newestEpoch();
  do {
    epoch += 1;
    await saveCheckpoint(runDirectory, contentOf(epoch, Number(stateBytes)));
    process.stdout.write(`saved ${epoch}\n`);
  } while (mode === "loop");
  // Keeps the process, and so its lock, alive.
  if (mode === "lock") await new Promise(() => setInterval(() => {}, 1_000));
} catch (error) {
  if (!(error instanceof MttcError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
