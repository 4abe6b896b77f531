// One trainer per run directory, one writer per folder of packed records. Every process that wants it
// creates a file whose NAME says who it is, and then looks: it holds the lock if no other live process has
// one there. Of two, the later to create sees the earlier, so both never hold it; and a file of a dead
// process can be deleted without hitting anybody, since no name is used twice. (One shared lock file cannot
// be taken over safely: between look and removal it may change hands.) Only processes of this machine can be
// asked whether they live; those of another host count as alive.
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { isProcessAlive } from "./atomicDirectory.ts";
import { fileError, systemCode } from "./fileSystem.ts";

/** .lock-<host hash>-<pid>-<hash of the process's start>-<random>. */
const LOCK_NAME = /^\.lock-([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-([0-9a-f]{16})$/;
/** Of several that start together the least name waits this long for the others to withdraw. */
const CONTEST_MS = 1_000;
const POLL_MS = 10;

interface Holder {
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly start: string;
}

/** What the holder of a lock does, and what else whoever is kept out may do, for messages. */
export interface LockPurpose {
  readonly activity: string;
  readonly wayOut: string;
}

const TRAINING: LockPurpose = {
  activity: "trains in this run directory",
  wayOut: "choose another logdir",
};

/** The lock of a folder of packed records. */
export const PACKING: LockPurpose = {
  activity: "writes packed records into this folder",
  wayOut: "choose another folder for `pack`",
};

/** A held lock; `release` may be called twice. Use with `await using`. */
export interface RunLock extends AsyncDisposable {
  readonly path: string;
  release(): Promise<void>;
}

/**
 * Takes the lock of `runDirectory` (which is created if missing) for this process; locks of processes that
 * are gone are removed. E_RUN_LOCKED if another one has it, in this process too; E_FILE or E_DISK if it
 * cannot be written. `purpose` is for its message.
 */
export async function acquireRunLock(
  runDirectory: string,
  purpose: LockPurpose = TRAINING,
): Promise<RunLock> {
  const mine = await nameThisProcess();
  const path = join(runDirectory, mine.name);
  const release = (): Promise<void> => rm(path, { force: true });
  try {
    await mkdir(runDirectory, { recursive: true });
    await (await open(path, "wx")).close();
    const rival = await findRival(runDirectory, mine);
    if (rival !== undefined) throw lockedError(runDirectory, rival, mine, purpose);
  } catch (error) {
    await release();
    throw fileError(error, runDirectory, "lock the run directory");
  }
  return { path, release, [Symbol.asyncDispose]: release };
}

/** E_RUN_LOCKED where another process has the lock now; takes none, and writes nothing. */
export async function refuseLocked(runDirectory: string, purpose: LockPurpose = TRAINING): Promise<void> {
  const mine = await nameThisProcess();
  let names: string[];
  try {
    names = await readdir(runDirectory);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return;
    throw fileError(error, runDirectory, "read the run directory");
  }
  for (const name of names) {
    const other = parseName(name);
    if (other && (await isLive(other, mine.host))) throw lockedError(runDirectory, other, mine, purpose);
  }
}

/** A live process that keeps us out, or undefined once there is none. */
async function findRival(runDirectory: string, mine: Holder): Promise<Holder | undefined> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const rivals: Holder[] = [];
    for (const name of await readdir(runDirectory)) {
      const other = parseName(name);
      if (other === undefined || other.name === mine.name) continue;
      if (await isLive(other, mine.host)) rivals.push(other);
      else await rm(join(runDirectory, name), { force: true });
    }
    // Whoever has the greater name gives way at once, so that exactly one of several goes on.
    if (rivals.length === 0) return undefined;
    const stronger = rivals.find(({ name }) => name < mine.name);
    if (stronger !== undefined || waitedMs >= CONTEST_MS) return stronger ?? rivals[0];
    await sleep(POLL_MS);
  }
}

async function isLive(holder: Holder, thisHost: string): Promise<boolean> {
  if (holder.host !== thisHost) return true;
  return isProcessAlive(holder.pid) && (await startOf(holder.pid)) === holder.start;
}

async function nameThisProcess(): Promise<Holder> {
  const random = randomBytes(8).toString("hex");
  const name = `.lock-${shortHash(hostname())}-${process.pid}-${await startOf(process.pid)}-${random}`;
  const holder = parseName(name);
  if (holder === undefined) throw new InternalError(`${name} is not a lock's name`);
  return holder;
}

function parseName(name: string): Holder | undefined {
  const match = LOCK_NAME.exec(name);
  return match ? { name, host: match[1]!, pid: Number(match[2]), start: match[3]! } : undefined;
}

/**
 * Tells a process from a later one of the same number: a hash of the boot and the clock tick at which it
 * began (Linux, proc(5), stat field 22). Where there is no /proc all processes of one number look the same.
 */
async function startOf(pid: number): Promise<string> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  const boot = await readIfThere("/proc/sys/kernel/random/boot_id");
  // The second field is the command in parentheses and may hold spaces; count from behind it.
  const tick = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return shortHash(`${boot} ${tick}`);
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    // ESRCH: the process ended between opening and reading.
    if (["ENOENT", "ESRCH"].includes(systemCode(error) ?? "")) return "";
    throw error;
  }
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

function lockedError(
  runDirectory: string,
  { pid, host, name }: Holder,
  mine: Holder,
  { activity, wayOut }: LockPurpose,
): MttcError {
  const where = host === mine.host ? "" : " on another machine";
  return new MttcError({
    code: "E_RUN_LOCKED",
    message: `process ${pid}${where} ${activity}`,
    at: { file: runDirectory },
    hint: `wait for it to end, or ${wayOut}; if it is surely gone, delete ${name}`,
  });
}
