// The end of a process that does not come to it by itself: from another thread there is no gentle way, nor
// where a thread is inside a native call for ever, which Node.js would wait for.
import { writeSync } from "node:fs";
import { createRequire } from "node:module";

/**
 * C's own functions. Loaded where they are called, which hardly ever is: no other thread is disturbed by it.
 */
function ownLibrary(): ReturnType<typeof import("koffi")["load"]> {
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
  return koffi.load(null);
}

/** Exit code of the input's and the machine's faults. */
const EXIT_CODE = 2;
/** Seconds after which the system itself ends a process that does not even get to `endHard`. */
const SYSTEM_GRACE_S = 3;
const STDERR = 2;

/** Ends the process at once, after one line on stderr, if there is anything to say. */
export function endHard(line?: string, exitCode = EXIT_CODE): void {
  try {
    if (line !== undefined) writeSync(STDERR, `${line}\n`);
  } catch {
    // Nobody reads it.
  }
  try {
    ownLibrary().func("void _exit(int)")(exitCode);
  } catch {
    // A system whose C library names it otherwise.
  }
  process.kill(process.pid, "SIGKILL");
}

/**
 * Lets the system end the process a little after `waitMs`, whatever holds its threads; 0 takes it back.
 * Does nothing where there is no alarm (Windows).
 */
export function armAlarm(waitMs: number): void {
  try {
    const seconds = waitMs === 0 ? 0 : Math.ceil(waitMs / 1000) + SYSTEM_GRACE_S;
    ownLibrary().func("unsigned int alarm(unsigned int)")(seconds);
  } catch {
    // `endHard` is left.
  }
}
