// `mttc train --ranks N`: starts mpiexec, which starts N processes of the same command, and stands for them:
// what ends this process ends rank 0 as it would end a run of one process, and its exit code comes out.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { temporaryFolder } from "../runtime/files/temporaryFolder.ts";
import {
  handsTerminalOn,
  KILLED_BY,
  launchArguments,
  mpiexecKind,
  RANKS_END,
} from "../runtime/ranks/mpiexecCommand.ts";
import { locateMpiexec } from "../runtime/ranks/mpiFolder.ts";
import { INTERRUPTED_EXIT } from "./errorReport.ts";
import { SAME_MS } from "./interruptSignal.ts";
import { heedSignals } from "./programEnd.ts";
import type { Terminal } from "./terminal.ts";

/** When rank 0 has ended, the others notice at once, but for one that is stopped: it has so long. */
const END_MS = 8_000;
/** What was asked twice to stop at once has so long to do it. */
const HASTE_MS = 3_000;
const POLL_MS = 250;
/** Output of an mpiexec that has ended is waited for so long: a rank may still hold its pipes. */
const OUTPUT_MS = 1_000;
/** How much of what mpiexec said is quoted. */
const QUOTED_LINES = 12;

/** The command line of this process. */
function ownCommand(): readonly string[] {
  return [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
}

/**
 * Runs so many processes of a program, by default of this very command line, and returns rank 0's exit code.
 * E_MPI_LIBRARY without an mpiexec, E_RANKS where rank 0 ends without saying how.
 */
export async function launchRanks(
  count: number,
  terminal: Terminal,
  program: readonly string[] = ownCommand(),
): Promise<number> {
  const mpiexec = locateMpiexec();
  if (mpiexec === undefined) throw noMpiexec();
  const cores = availableParallelism();
  if (count > cores) terminal.note(`${count} ranks share ${cores} cores: --ranks ${cores} is as fast`);
  const kind = await mpiexecKind(mpiexec);
  const folder = await temporaryFolder("ranks");
  try {
    const end = join(folder, "end");
    const options = launchArguments(kind, count, program, process.getuid?.() === 0);
    const child = spawn(mpiexec, options, {
      // A session of its own: a terminal's Ctrl-C would reach mpiexec, too, which ends all ranks by it.
      detached: true,
      stdio: handsTerminalOn(kind) ? ["pipe", "pipe", "pipe", 1, 2] : ["pipe", 1, 2],
      env: { ...process.env, [RANKS_END]: end },
    });
    return await standFor(child, end, KILLED_BY[kind]);
  } finally {
    // At once, not in a while in which a signal could end this process: it has an exit code to pass on.
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Hands signals to rank 0 until mpiexec has ended; rank 0's exit code, or E_RANKS where it left none. */
async function standFor(child: ChildProcess, end: string, killedBy: NodeJS.Signals): Promise<number> {
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (bytes: Buffer) => said.push(bytes));
  // Rank 0 may be gone before it has read what it was told.
  child.stdin?.on("error", () => undefined);
  const killLater = (ms: number): unknown => setTimeout(() => child.kill(killedBy), ms).unref();
  let stoppedAt: number | undefined;
  const giveBack = heedSignals((name) => {
    child.stdin?.write(`${name}\n`);
    stoppedAt ??= performance.now();
    if (name !== "SIGHUP" && performance.now() - stoppedAt > SAME_MS) killLater(HASTE_MS);
  });
  const watch = setInterval(() => {
    if (!existsSync(end)) return;
    clearInterval(watch);
    killLater(END_MS);
  }, POLL_MS);
  try {
    const status = await endOf(child);
    const code = existsSync(end) ? readFileSync(end, "utf8") : "";
    if (/^\d+$/.test(code)) return Number(code);
    if (stoppedAt !== undefined) return INTERRUPTED_EXIT;
    throw rankGone(status, Buffer.concat(said).toString("utf8"));
  } finally {
    clearInterval(watch);
    giveBack();
  }
}

/** How a program ended, once its output is read. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null, signal: string | null) => resolve(signal ?? `exit code ${code}`);
    child.on("error", (cause) => {
      const fault = { code: "E_RANKS", message: `mpiexec cannot be started: ${cause.message}` } as const;
      reject(new MttcError(fault, { cause }));
    });
    child.on("close", ended);
    child.on("exit", (code, signal) => setTimeout(() => ended(code, signal), OUTPUT_MS).unref());
  });
}

function rankGone(status: string, said: string): MttcError {
  const lines = said.split("\n").filter((line) => /[^\s=]/.test(line));
  const quoted = lines.slice(-QUOTED_LINES).map((line) => line.replace(/^=?\s*/, ""));
  return new MttcError({
    code: "E_RANKS",
    message: `rank 0 ended without a word, mpiexec with ${status}${quoted.length > 0 ? `: ${quoted.join(" / ")}` : ""}`,
    hint: "what was saved stays: `mttc train` goes on from it with --resume; too little memory ends processes so",
  });
}

function noMpiexec(): MttcError {
  const { MTTC_MPI_DIR: given } = process.env;
  const where = given ? `in MTTC_MPI_DIR, which is ${given}` : "on PATH, nor what `mttc setup-mpi` brings";
  const brought = process.platform === "linux" && process.arch === "x64";
  const hint = brought ? "`mttc setup-mpi` brings MPICH" : "install MPICH or Open MPI";
  return new MttcError({ code: "E_MPI_LIBRARY", message: `there is no mpiexec ${where}`, hint });
}
