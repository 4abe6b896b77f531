// A client: a small program in some language that runs an exported file on pictures, as examples/clients/
// shows. All have one command line, `CLIENT [--pixels DIR] MODEL IMAGE...`, and answer in one form, a line of
// JSON an image.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type ProgramResult, runProgram } from "../cli/runCli.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import type { ClientAnswer } from "./clientData.ts";

/** What the tests know of a client. */
export interface Client {
  readonly language: string;
  /** Below examples/clients/. */
  readonly folder: string;
  /** Commands of its toolchain; none: it needs npm alone, and always runs. */
  readonly needs: readonly string[];
  /**
   * Builds it, `cache` being a folder for what is made; the words of its command, or why it cannot be built
   * here (a package that is not to be had), for the line that skips it.
   */
  readonly build: (cache: string) => Promise<readonly string[] | { readonly missing: string }>;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Pictures of reader-vectors/ that it refuses by name, and why. */
  readonly refuses?: Readonly<Record<string, string>>;
  /** Mean levels of 255 that it may miss training's pixels by, where that is not CLIENT_READ_MEAN. */
  readonly mean?: Readonly<Record<string, number>>;
}

/** Whether clients that need more than npm are tried: `npm run test:clients`, `.ci/run`. */
export const TRIES_TOOLCHAINS = process.env.MTTC_CLIENTS === "1";

/** ONNX Runtime's library for clients that load one. */
export const ORT_LIBRARY = join(
  ...[PROJECT_ROOT, "node_modules", "onnxruntime-node", "bin", "napi-v6"],
  ...[process.platform, process.arch, "libonnxruntime.so.1"],
);

/** The folder for what a client's build makes, which outlives the test. */
export async function clientCache(folder: string): Promise<string> {
  const cache = join(PROJECT_ROOT, "node_modules", ".cache", "clients", folder);
  await mkdir(cache, { recursive: true });
  return cache;
}

/** The folder of a client's code. */
export const clientFolder = (folder: string): string => join(PROJECT_ROOT, "examples", "clients", folder);

const STUCK_MS = 120_000;

/** Runs a program to its end; one that takes minutes is killed, and has no code, as one that is not there. */
export function runToEnd(
  [program = "", ...args]: readonly string[],
  {
    cwd,
    env = {},
    stuckMs = STUCK_MS,
  }: { cwd?: string; env?: Readonly<Record<string, string>>; stuckMs?: number } = {},
): Promise<ProgramResult> {
  const own = { ORT_DISABLE_TELEMETRY: "1", ORT_DYLIB_PATH: ORT_LIBRARY };
  const killed = { timeout: stuckMs, killSignal: "SIGKILL" } as const;
  return runProgram(program, args, { cwd, env: { ...process.env, ...own, ...env }, ...killed }).catch(
    ({ message }: Error) => ({ code: null, stdout: "", stderr: message }),
  );
}

/** Runs a step of a build; throws what it said where it fails. */
export async function buildStep(
  words: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const { code, stdout, stderr } = await runToEnd(words, { ...options, stuckMs: 10 * STUCK_MS });
  if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
}

/** Whether a command is on the PATH. */
export async function hasCommand(command: string): Promise<boolean> {
  const { code } = await runToEnd(["sh", "-c", 'command -v "$0"', command]);
  return code === 0;
}

/** What a client answers for an image. */
export interface ImageAnswer {
  readonly image: string;
  readonly tasks: readonly ClientAnswer[];
}

/** The lines of JSON that a client wrote. */
export function answersIn(stdout: string): ImageAnswer[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
