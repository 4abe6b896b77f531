// A process that `mttc train --ranks` started, or mpiexec, srun or torchrun by themselves: which it is, what
// its launcher tells it, and what it tells its launcher.
import { writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, CommanderError } from "commander";
import { formatFault, MttcError } from "../compiler/diagnostics.ts";
import { systemCode } from "../runtime/files/fileSystem.ts";
import { RANKS_END } from "../runtime/ranks/mpiexecCommand.ts";
import { type Launcher, type RankEnvironment, rankEnvironment } from "../runtime/ranks/rankEnvironment.ts";
import { AlreadySaid, ENDING_SIGNALS, INTERRUPTED_EXIT, reportError } from "./errorReport.ts";
import type { Terminal } from "./terminal.ts";

/** Codes of what is so for all processes of a host: one of them says it. */
const OF_HOST: readonly string[] = ["E_RANKS", "E_MPI_LIBRARY"];

/**
 * These kill all others when one has failed: a process that says nothing of what it refuses waits so long for
 * the one that does, which a slow disk may have kept from it. Hydra kills nobody who has not joined MPI.
 */
const KILLING: readonly Launcher[] = ["openmpi", "torchrun"];
const HELD_MS = 10_000;

/** Whether `mttc train --ranks` started this process. */
export function isLaunched(): boolean {
  return Boolean(process.env[RANKS_END]);
}

/** This process among several; undefined where it is alone, or nobody can say (for most commands). */
export function placeIfKnown(): RankEnvironment | undefined {
  try {
    return placeAmongSeveral();
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    return undefined;
  }
}

/** This process among several; undefined where it is alone. E_RANKS. */
export function placeAmongSeveral(): RankEnvironment | undefined {
  const place = rankEnvironment(process.env);
  return place !== undefined && place.size > 1 ? place : undefined;
}

/** Prepares a process among several for its launcher. */
export function obeyLauncher({ rank }: RankEnvironment): void {
  const { [RANKS_END]: end } = process.env;
  if (rank > 0 || !end) return;
  process.on("exit", tellEnd);
  // The launcher writes names of signals; when it has gone, that is a terminal that was closed.
  const send = (text: string): void => {
    const name = ENDING_SIGNALS.find((each) => each === text);
    if (name) process.kill(process.pid, name);
  };
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text: string) => text.split("\n").forEach(send));
  process.stdin.on("end", () => send("SIGHUP"));
  process.stdin.unref();
}

/** From here on rank 0, to which this process is connected, says when all end. */
export function ignoreSignals(): void {
  for (const name of ENDING_SIGNALS) process.on(name, () => undefined);
}

/**
 * Until rank 0 trains there is nothing to put in order: a signal ends it at once, and its launcher the
 * others. Returns what stops that.
 */
export function endAtSignals(): () => void {
  const stop = (): void => {
    for (const name of ENDING_SIGNALS) process.off(name, onSignal);
  };
  const onSignal = (name: NodeJS.Signals): void => {
    tellEnd(INTERRUPTED_EXIT);
    stop();
    // Not process.exit, which would wait for the thread that waits in MPI.
    process.kill(process.pid, name);
  };
  for (const name of ENDING_SIGNALS) process.on(name, onSignal);
  return stop;
}

/**
 * Rank 0 is lost: there is nobody any more to wait for, and a rank 0 that was stopped would never say how it
 * ends. The launcher kills what is left.
 */
export function tellRank0Lost(): void {
  const { [RANKS_END]: end } = process.env;
  try {
    if (end) writeFileSync(end, "lost", { flag: "wx" });
  } catch {
    // Rank 0 has said how it ends, or the launcher has gone: either knows more.
  }
}

function tellEnd(code: number): void {
  const { [RANKS_END]: end } = process.env;
  try {
    if (end) writeFileSync(end, String(code));
  } catch (error) {
    // The launcher was killed, and the next one has removed its folder: nobody waits for the code.
    if (systemCode(error) !== "ENOENT") throw error;
  }
}

/** Refuses a command that several processes would each do whole. E_RANKS. */
export function refuseInSeveral(command: Command, { size, launcher }: RankEnvironment): void {
  const name = nameOf(command);
  if (name === "mttc train") return;
  const by = { openmpi: "mpiexec", hydra: "mpiexec", slurm: "srun", torchrun: "torchrun" }[launcher];
  throw new MttcError({
    code: "E_RANKS",
    message: `${name} is for one process, and ${by} has started ${size}: each would do the same`,
    hint: `start it without ${by}; \`mttc train\` is for several`,
  });
}

/** "mttc data check". */
function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}

/** Lets nothing through: of several processes rank 0 speaks. */
export function silentTerminal(terminal: Terminal): Terminal {
  const nothing = (): void => undefined;
  return { ...terminal, out: nothing, note: nothing, data: nothing, isTerminal: false, drawsProgress: false };
}

/**
 * The end of a process after rank 0: what it alone knows is printed with its rank. What another one says is
 * left to that, and some time given to it. Returns the exit code.
 */
export async function reportOfRank(
  error: unknown,
  place: RankEnvironment,
  terminal: Terminal,
): Promise<number> {
  if (error instanceof AlreadySaid) return error.exitCode;
  if (error instanceof CommanderError) return await held(reportError(error, silentTerminal(terminal)), place);
  const where = `rank ${place.rank} on ${hostname()}:`;
  if (!(error instanceof MttcError)) {
    terminal.note(where);
    return reportError(error, terminal);
  }
  const isSaid = OF_HOST.includes(error.code) && place.local?.rank !== 0;
  if (isSaid) return await held(error.exitCode, place);
  for (const fault of error.faults) terminal.note(`${where} ${formatFault(fault)}`);
  return error.exitCode;
}

/** The exit code, after a while if it is one of failure: by then who says why has said it, and ended all. */
async function held(code: number, { launcher }: RankEnvironment): Promise<number> {
  // Of what `--ranks` started the shell waits.
  if (code !== 0 && KILLING.includes(launcher) && !isLaunched()) await sleep(HELD_MS);
  return code;
}
