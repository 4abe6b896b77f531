// One trainer per run directory: a lock file, created exclusively, that says which process holds it.
// A lock whose process is gone (killed, rebooted, its number reused) is taken over; a live one is E_RUN_LOCKED.
// Only processes of one machine can be told apart; a lock of another host counts as held.
import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import { isProcessAlive, siblingName } from "./atomicDirectory.ts";
import { fileError, systemCode } from "./fileSystem.ts";

const LOCK_NAME = "run.lock";
/** A lock without content is one that its owner has just created, or was killed while creating. */
const EMPTY_GRACE_MS = 1_000;
const EMPTY_POLL_MS = 50;
const ATTEMPTS = 10;

const holderSchema = z.object({
  pid: z.number().int().positive(),
  host: z.string(),
  /** When the process began, in the system's own terms; tells a process from a later one of the same number. */
  processStart: z.string(),
  since: z.string(),
  token: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

/** A held lock; `release` may be called twice. Use with `await using`. */
export interface RunLock extends AsyncDisposable {
  readonly path: string;
  release(): Promise<void>;
}

/**
 * Takes the lock of `runDirectory` (which is created if missing) for this process.
 * E_RUN_LOCKED if a live process holds it, this one included; E_FILE or E_DISK if it cannot be written.
 */
export async function acquireRunLock(runDirectory: string): Promise<RunLock> {
  const path = join(runDirectory, LOCK_NAME);
  try {
    await mkdir(runDirectory, { recursive: true });
    const holder = await describeThisProcess();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (await create(path, JSON.stringify(holder))) return heldLock(path, holder.token);
      await takeAwayIfStale(path);
    }
  } catch (error) {
    throw fileError(error, path, "lock the run directory");
  }
  throw lockedError(path, "other processes keep taking the lock");
}

function heldLock(path: string, token: string): RunLock {
  const release = async (): Promise<void> => {
    if ((await readHolder(path))?.token === token) await rm(path, { force: true });
  };
  return { path, release, [Symbol.asyncDispose]: release };
}

async function create(path: string, content: string): Promise<boolean> {
  try {
    const handle = await open(path, "wx");
    try {
      await handle.writeFile(content);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
}

async function takeAwayIfStale(path: string): Promise<void> {
  const seen = await readSettled(path);
  if (seen === undefined) return;
  const holder = parseHolder(seen);
  if (holder !== undefined && (await isHeld(holder))) {
    throw lockedError(path, `process ${holder.pid} on ${holder.host} works here since ${holder.since}`);
  }
  // Renaming takes the file away exactly once, even if several processes find it stale together.
  const taken = siblingName(path, "trash");
  try {
    await rename(path, taken);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw error;
  }
  const robbed = await readFile(taken, "utf8");
  if (robbed !== seen) {
    // Another process took the stale lock over between our look and our rename: it gets its lock back.
    await link(taken, path); // not rename: a third process may hold a lock by now
    await rm(taken, { force: true });
    throw lockedError(path, "another process took the lock just now");
  }
  await rm(taken, { force: true });
}

/** The lock's text, after giving a process that has just created it the time to fill it; undefined if gone. */
async function readSettled(path: string): Promise<string | undefined> {
  for (let waitedMs = 0; ; waitedMs += EMPTY_POLL_MS) {
    const text = await readIfThere(path);
    if (text === undefined || parseHolder(text) !== undefined || waitedMs >= EMPTY_GRACE_MS) return text;
    await sleep(EMPTY_POLL_MS);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  const text = await readIfThere(path);
  return text === undefined ? undefined : parseHolder(text);
}

function parseHolder(text: string): Holder | undefined {
  try {
    return holderSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // not JSON: half-written by a process that was killed
  }
}

async function isHeld(holder: Holder): Promise<boolean> {
  if (holder.host !== hostname()) return true;
  if (!isProcessAlive(holder.pid)) return false;
  return (await processStartOf(holder.pid)) === holder.processStart;
}

async function describeThisProcess(): Promise<Holder> {
  const processStart = await processStartOf(process.pid);
  const since = new Date().toISOString();
  return { pid: process.pid, host: hostname(), processStart, since, token: randomUUID() };
}

/** Boot and clock ticks at which a process began (Linux, proc(5), field 22); "" where there is no /proc. */
async function processStartOf(pid: number): Promise<string> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  const boot = await readIfThere("/proc/sys/kernel/random/boot_id");
  // The second field is the command in parentheses and may hold spaces; count from behind it.
  const ticks = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return ticks === undefined ? "" : `${boot?.trim() ?? ""}/${ticks}`;
}

function lockedError(path: string, message: string): MttcError {
  const hint = "wait for it to end, or choose another logdir; if it is surely gone, delete the lock file";
  return new MttcError({ code: "E_RUN_LOCKED", message, at: { file: path }, hint });
}
