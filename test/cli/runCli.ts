// Runs the built command line (dist, which `npm test` builds first) in a folder and returns what it wrote.
import { type SpawnOptions, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The program behind cli/mttc.cjs. */
export const CLI_MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface ProgramResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run the command line. */
export interface CliOptions {
  /** Variables added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Sends SIGINT once stderr holds this text. */
  readonly interruptAt?: string;
  /** User and group that the process runs as; those of the caller by default. */
  readonly user?: number | undefined;
}

/** `mttc ...args` in `folder`. */
export function runCli(
  folder: string,
  args: readonly string[],
  { env, interruptAt, user }: CliOptions = {},
): Promise<ProgramResult> {
  const owner = user === undefined ? {} : { uid: user, gid: user };
  const options = { cwd: folder, env: { ...process.env, MTTC_DUMP: "", ...env }, ...owner };
  return runProgram(process.execPath, [CLI_MAIN, ...args], options, interruptAt);
}

/** Runs a program to its end. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: Pick<SpawnOptions, "cwd" | "env" | "uid" | "gid" | "timeout" | "killSignal">,
  interruptAt?: string,
): Promise<ProgramResult> {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr, interrupted] = ["", "", false];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    if (interruptAt === undefined || interrupted || !stderr.includes(interruptAt)) return;
    interrupted = true;
    child.kill("SIGINT");
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
