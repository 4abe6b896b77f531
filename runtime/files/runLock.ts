// One trainer per run directory, one writer per folder of packed records. Every process that wants it
// creates a file whose NAME says who it is, and then looks: it holds the lock if no other live process has
// one there. Of two, the later to create sees the earlier, so both never hold it; and a file of a dead
// process can be deleted without hitting anybody, since no name is used twice. (One shared lock file cannot
// be taken over safely: between look and removal it may change hands.) Only processes of this machine and
// process namespace can be asked whether they live. Others, of another machine or container, give a sign of
// life by writing into their file now and then, and count as gone when that stays out.
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { fileError, systemCode } from "./fileSystem.ts";
import { isProcessAlive } from "./owners.ts";

/** .lock-<host hash>-<pid>-<hash of the process's start>-<random>. */
const LOCK_NAME = /^\.lock-([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-([0-9a-f]{16})$/;
/** Of several that start together the least name waits this long for the others to withdraw. */
const CONTEST_MS = 1_000;
const POLL_MS = 10;

/** How often a holder gives a sign of life, and after how long without one it counts as gone. */
export interface LockTiming {
  readonly beatMs: number;
  readonly staleMs: number;
}

/** Ten beats may be lost: to a busy file server, say. */
const TIMING: LockTiming = { beatMs: 60_000, staleMs: 600_000 };

interface Holder {
  readonly name: string;
  /** Hash of the machine's boot and the process namespace; of the host's name where those are not told. */
  readonly host: string;
  readonly pid: number;
  readonly start: string;
}

/** A holder as its file shows it. */
interface SeenHolder extends Holder {
  /** Name of its host, empty in files of earlier versions, which give no signs of life. */
  readonly hostName: string;
  /** Milliseconds since its last sign of life, by the clock of the file system. */
  readonly silentMs: number;
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
  /** What was found of holders that are gone without a word: one sentence each. */
  readonly notes: readonly string[];
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
  timing: LockTiming = TIMING,
): Promise<RunLock> {
  const mine = await nameThisProcess();
  const path = join(runDirectory, mine.name);
  const content = `${JSON.stringify({ host: hostname(), pid: process.pid, since: new Date().toISOString() })}\n`;
  let beat: NodeJS.Timeout | undefined;
  const release = async (): Promise<void> => {
    clearInterval(beat);
    await rm(path, { force: true });
  };
  const notes: string[] = [];
  try {
    await mkdir(runDirectory, { recursive: true });
    await writeInto(path, "wx", content);
    const rival = await findRival(runDirectory, mine, timing, notes);
    if (rival !== undefined) throw lockedError(runDirectory, rival, mine, purpose, timing);
  } catch (error) {
    await release();
    throw fileError(error, runDirectory, "lock the run directory");
  }
  // The file's time is the file server's, not this machine's. A beat that fails is made up for by the next;
  // a file that is gone was taken over, which assertRunLock finds.
  beat = setInterval(() => void writeInto(path, "r+", content).catch(() => undefined), timing.beatMs).unref();
  return { path, notes, release, [Symbol.asyncDispose]: release };
}

/**
 * E_RUN_LOCKED where this process has no lock of `runDirectory` any more: it gave no sign of life for so long
 * (a suspended machine) that another one took the directory over, or somebody deletes what is in it.
 */
export async function assertRunLock(runDirectory: string): Promise<void> {
  const { host, pid, start } = await nameThisProcess();
  const names = await readdir(runDirectory).catch((error: unknown) => {
    throw fileError(error, runDirectory, "look for the lock of the run directory");
  });
  const isMine = (other: Holder): boolean =>
    other.host === host && other.pid === pid && other.start === start;
  const holders = names.flatMap((name) => parseName(name) ?? []);
  if (holders.some(isMine)) return;
  const [why, hint] =
    holders.length > 0
      ? [
          "it was not heard of for long, and another one took over",
          "what was saved before stays; do not go on here while the other one works",
        ]
      : [
          "its file was deleted, by hand or by a process that took over and has ended",
          "what is left there is untouched; `--resume` goes on from what was saved",
        ];
  throw new MttcError({
    code: "E_RUN_LOCKED",
    message: `this process no longer has the lock: ${why}`,
    at: { file: runDirectory },
    hint,
  });
}

async function writeInto(path: string, flags: "wx" | "r+", content: string): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.writeFile(content);
  } finally {
    await handle.close();
  }
}

/**
 * E_RUN_LOCKED where another process has the lock now; takes none, and writes nothing. Of holders elsewhere
 * the clock of this machine tells how old their sign of life is: where that is not to be believed, taking the
 * lock finds it out by the file system's.
 */
export async function refuseLocked(
  runDirectory: string,
  purpose: LockPurpose = TRAINING,
  timing: LockTiming = TIMING,
): Promise<void> {
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
    const seen = other && (await lookAt(join(runDirectory, name), other, Date.now()));
    if (seen === undefined) continue;
    const past = { ...seen, silentMs: Math.abs(seen.silentMs) };
    if (await isLive(past, mine.host, timing)) throw lockedError(runDirectory, past, mine, purpose, timing);
  }
}

/** A live process that keeps us out, or undefined once there is none. */
async function findRival(
  runDirectory: string,
  mine: Holder,
  timing: LockTiming,
  notes: string[],
): Promise<SeenHolder | undefined> {
  const { mtimeMs: now } = await stat(join(runDirectory, mine.name));
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const rivals: SeenHolder[] = [];
    for (const name of await readdir(runDirectory)) {
      const other = parseName(name);
      if (other === undefined || other.name === mine.name) continue;
      const seen = await lookAt(join(runDirectory, name), other, now);
      if (seen === undefined) continue;
      if (await isLive(seen, mine.host, timing)) rivals.push(seen);
      else {
        if (seen.host !== mine.host && seen.hostName !== "") notes.push(takenOver(seen));
        await rm(join(runDirectory, name), { force: true });
      }
    }
    // Whoever has the greater name gives way at once, so that exactly one of several goes on.
    if (rivals.length === 0) return undefined;
    const stronger = rivals.find(({ name }) => name < mine.name);
    if (stronger !== undefined || waitedMs >= CONTEST_MS) return stronger ?? rivals[0];
    await sleep(POLL_MS);
  }
}

/** A holder with what its file says; undefined where the file has just gone. */
async function lookAt(path: string, holder: Holder, now: number): Promise<SeenHolder | undefined> {
  try {
    const { mtimeMs } = await stat(path);
    const content = await readFile(path, "utf8");
    const hostName = /"host":("(?:[^"\\]|\\.)*")/.exec(content)?.[1];
    return {
      ...holder,
      hostName: hostName === undefined ? "" : String(JSON.parse(hostName)),
      silentMs: now - mtimeMs,
    };
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function isLive(holder: SeenHolder, thisHost: string, { staleMs }: LockTiming): Promise<boolean> {
  const { host, hostName, pid, start, silentMs } = holder;
  // Earlier versions wrote nothing into the file, and hashed the host's name.
  const isOfHere = host === thisHost || (hostName === "" && host === shortHash(hostname()));
  if (isOfHere) return isProcessAlive(pid) && (await startOf(pid)) === start;
  return hostName === "" || silentMs < staleMs;
}

function takenOver({ pid, hostName, silentMs }: SeenHolder): string {
  const minutes = Math.round(silentMs / 60_000);
  return (
    `process ${pid} on ${hostName}, which held this folder, has given no sign of life for ${minutes} minutes: ` +
    "it counts as gone, and its lock is taken over"
  );
}

async function nameThisProcess(): Promise<Holder> {
  const random = randomBytes(8).toString("hex");
  const name = `.lock-${await hostHash()}-${process.pid}-${await startOf(process.pid)}-${random}`;
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

/**
 * Tells machines and containers apart: by the boot and the process namespace where the system tells them
 * (Linux), since two containers may have one host name, and a process's number means nothing across them.
 */
async function hostHash(): Promise<string> {
  const boot = await readIfThere("/proc/sys/kernel/random/boot_id");
  const namespace = await readlink("/proc/self/ns/pid").catch(() => "");
  return shortHash(boot === "" || namespace === "" ? hostname() : `${boot} ${namespace}`);
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
  { pid, host, name, hostName, silentMs }: SeenHolder,
  mine: Holder,
  { activity, wayOut }: LockPurpose,
  { staleMs }: LockTiming,
): MttcError {
  const isElsewhere = host !== mine.host;
  const where = isElsewhere
    ? ` on another machine or in another container${hostName && ` (${hostName})`}`
    : "";
  const sign =
    isElsewhere && hostName !== ""
      ? `; its last sign of life is ${Math.max(0, Math.round(silentMs / 1000))} s old, after ` +
        `${Math.round(staleMs / 60_000)} minutes it counts as gone`
      : "";
  return new MttcError({
    code: "E_RUN_LOCKED",
    message: `process ${pid}${where} ${activity}`,
    at: { file: runDirectory },
    hint: `wait for it to end, or ${wayOut}; if it is surely gone, delete ${name}${sign}`,
  });
}
