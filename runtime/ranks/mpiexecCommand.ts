// How an mpiexec is told to start several processes of a program on this host. (mpiexec, number, program) ->
// its command line. Runs `mpiexec --version` to learn whose it is.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { MttcError } from "../../compiler/diagnostics.ts";
import { PATIENCE_MS } from "./heartbeatProtocol.ts";

/** Whose mpiexec it is. */
export type MpiexecKind = "hydra" | "openmpi" | "other";

const VERSION_MS = 20_000;

/** Asks an mpiexec whose it is. E_MPI_LIBRARY where it does not run. */
export async function mpiexecKind(mpiexec: string): Promise<MpiexecKind> {
  const { stdout, stderr } = await promisify(execFile)(mpiexec, ["--version"], {
    timeout: VERSION_MS,
  }).catch((cause: Error) => {
    const message = `${mpiexec} does not run: ${cause.message.trim().split("\n").slice(-1)[0]}`;
    const hint = "`mttc doctor` shows what there is";
    throw new MttcError({ code: "E_MPI_LIBRARY", message, hint }, { cause });
  });
  return kindOf(`${stdout}${stderr}`);
}

/** Whose mpiexec answers `--version` so. Intel's has Hydra's name and other options. */
export function kindOf(version: string): MpiexecKind {
  if (/open[ -]?mpi|openrte|prrte/i.test(version)) return "openmpi";
  return /HYDRA build details/.test(version) ? "hydra" : "other";
}

/** Names the file that rank 0 writes its exit code to; set by `mttc train --ranks`. */
export const RANKS_END = "MTTC_RANKS_END";

/** Seconds that the shell of a failed rank waits for rank 0, which notices in less, and may save for long. */
const HELD_SECONDS = (PATIENCE_MS + 30_000) / 1000;

/**
 * The shell command that runs the program of a rank. Where one fails, an mpiexec kills all others at once;
 * the shell of a rank after 0 stands in for it until rank 0 has said why, saved, and ended. `isTerminal`: the
 * program writes to the descriptors 3 and 4, those of whoever started mpiexec, which gives pipes: what is
 * written looks as it does without mpiexec.
 */
function shellCommand(isTerminal: boolean): string {
  const [own, others] = isTerminal ? [">&3 2>&4 3>&- 4>&-", ">&3 2>&4 3>&- 4>&- 9>&-"] : ["", "2>&9 9>&-"];
  return [
    `if [ "\${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 0 ]; then exec "$@" ${own}; fi`,
    // A shell says on its stderr what killed the program.
    `exec 9>&2 2>/dev/null; (exec "$@" ${others}); code=$?; left=${HELD_SECONDS}`,
    `while [ $code != 0 ] && [ ! -e "$${RANKS_END}" ] && [ $left -gt 0 ]; do sleep 1; left=$((left - 1)); done`,
    "exit $code",
  ].join("\n");
}

/** Options by whose mpiexec it is: this host alone, processes not bound to single cores. */
const OPTIONS: Readonly<Record<MpiexecKind, readonly string[]>> = {
  hydra: ["-launcher", "fork", "-rmk", "user"],
  openmpi: ["--quiet", "--oversubscribe", "--bind-to", "none"],
  other: [],
};

/** The signal after which an mpiexec has killed all that it started. Hydra hands SIGTERM on, and waits. */
export const KILLED_BY: Readonly<Record<MpiexecKind, NodeJS.Signals>> = {
  hydra: "SIGKILL",
  openmpi: "SIGTERM",
  other: "SIGTERM",
};

/** Whether the descriptors 3 and 4 of an mpiexec are those of its processes' stdout and stderr. */
export function handsTerminalOn(kind: MpiexecKind): boolean {
  return kind === "hydra";
}

/** The arguments of an mpiexec that starts `program` so many times; `isRoot`: whether root asks for it. */
export function launchArguments(
  kind: MpiexecKind,
  count: number,
  program: readonly string[],
  isRoot: boolean,
): readonly string[] {
  const allowed = kind === "openmpi" && isRoot ? ["--allow-run-as-root"] : [];
  const shell = ["/bin/sh", "-c", shellCommand(handsTerminalOn(kind)), "mttc"];
  return [...OPTIONS[kind], ...allowed, "-n", String(count), ...shell, ...program];
}
