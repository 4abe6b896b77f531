// Runs the built command line on hostile input and measures what it cost: processor time and the most memory
// that was resident, as the system counts them. Wall time says little on a machine that others use.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { CLI_MAIN } from "../cli/runCli.ts";

/** What hostile input may cost: the limits of the list. */
const MOST_SECONDS = 5;
const MOST_BYTES = 512 * 2 ** 20;
/** What hangs is killed: no case may wait for ever. */
const HANG_MS = 60_000;
const POLL_MS = 5;
/** Clock ticks per second of /proc/PID/stat. */
const TICKS = 100;

export interface WatchedRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

/** `mttc ...args` in `folder`, which may cost no more than the limits allow (its child processes apart). */
export async function runWatched(folder: string, args: readonly string[]): Promise<WatchedRun> {
  const env = { ...process.env, MTTC_DUMP: "", UV_THREADPOOL_SIZE: "4" };
  const child = spawn(process.execPath, [CLI_MAIN, ...args], { cwd: folder, env });
  let [stdout, stderr, cpuSeconds, peakBytes] = ["", "", 0, 0];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const poll = setInterval(() => {
    cpuSeconds = cpuOf(child.pid) ?? cpuSeconds;
    peakBytes = peakOf(child.pid) ?? peakBytes;
  }, POLL_MS);
  const timer = setTimeout(() => child.kill("SIGKILL"), HANG_MS);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearInterval(poll);
  clearTimeout(timer);
  const run = { code, stdout, stderr, cpuSeconds, peakBytes };
  expect(run.cpuSeconds, stderr).toBeGreaterThan(0);
  expect(run.cpuSeconds, stderr).toBeLessThan(MOST_SECONDS);
  expect(run.peakBytes, stderr).toBeGreaterThan(0);
  expect(run.peakBytes, stderr).toBeLessThan(MOST_BYTES);
  return run;
}

/** User and system time of all its threads; undefined once it has ended. */
function cpuOf(pid: number | undefined): number | undefined {
  const fields = read(`/proc/${pid}/stat`)?.split(") ")[1]?.split(" ");
  return fields && (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** The most memory that was ever resident (VmHWM). */
function peakOf(pid: number | undefined): number | undefined {
  const kilobytes = /VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`) ?? "")?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return undefined;
  }
}
