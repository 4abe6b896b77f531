// Ranks of `mttc train` that are killed, stopped or never come, where `mttc setup-mpi` has been: one line that
// says why, the exit code, and a run that goes on to the end of an undisturbed one.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { mpiFolder } from "../../runtime/ranks/mpiFolder.ts";
import { largestDistance, stateIn } from "../ranks/stateDistance.ts";
import { CLI_MAIN, type ProgramResult, runCli } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

const MPIEXEC = join(mpiFolder(), "bin", "mpiexec");
const env = { MTTC_MPI_DIR: mpiFolder(), MTTC_DUMP: "" };
const FLAGS = ["--ep", "cpu", "--no-report"];
const EPOCHS = 30;
/** Ranks look for others so long, in tests of those that do not come. */
const WAIT_S = "2";
const LOOK_MS = 20;

let data: TinyData;
beforeAll(async () => {
  data = await makeTinyData();
});
afterAll(async () => await data[Symbol.asyncDispose]());

const running: ChildProcess[] = [];
afterEach(() => {
  // mpiexec and what it started are groups of their own.
  for (const { pid, exitCode, signalCode } of running.splice(0))
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, "SIGKILL");
});

function specFile(name: string, changes: Readonly<Record<string, string>> = {}): string {
  const lines = { logdir: name, epochs: String(EPOCHS), ...changes };
  writeFileSync(join(data.folder, `${name}.yml`), tinySpec(lines));
  return `${name}.yml`;
}

/** A program that is under way: what it said up to now, and how it ends. */
function begin(program: string, args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const options = { cwd: data.folder, env: { ...process.env, ...env, ...more }, detached: true };
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  running.push(child);
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  const ended = new Promise<ProgramResult>((resolve) =>
    child.on("close", (code) => resolve({ code, ...said })),
  );
  return { child, said, ended };
}

async function until<T>(look: () => T | undefined | false, what: string): Promise<T> {
  const end = performance.now() + 60_000;
  for (;;) {
    const found = look();
    if (found) return found;
    if (performance.now() > end) throw new Error(`not seen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** The process that is a rank of a command with this word. */
function pidOf(rank: number, word: string): number | undefined {
  const found = readdirSync("/proc").find((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      if (words[0] !== process.execPath || !words.includes(word)) return false;
      return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`PMI_RANK=${rank}`);
    } catch {
      return false;
    }
  });
  return found === undefined ? undefined : Number(found);
}

function errorsOf(stderr: string): string[] {
  return stderr.split("\n").filter((line) => /^(error|interrupted): |\[E_\w+\]$/.test(line));
}

const isHere = existsSync(MPIEXEC) && existsSync("/proc/self/environ");

describe.skipIf(!isHere)("a rank of --ranks 2 (MPICH is not here: `mttc setup-mpi` brings it)", () => {
  test.each([
    // Between two epochs nothing is newer than what is saved already.
    [
      1,
      /^error: rank 1 on \S+ has ended; saved (as it was at epoch \d+, step \d, in|is) \S+ \[E_RANK_LOST\]$/,
    ],
    [0, /^error: rank 0 ended without a word, mpiexec with .*\[E_RANKS\]$/],
  ])(
    "that is killed, rank %i: one line, exit code 2, and --resume ends as undisturbed",
    async (rank, line) => {
      const undisturbed = specFile("undisturbed");
      if (!existsSync(join(data.folder, "undisturbed"))) {
        const whole = await runCli(data.folder, ["train", undisturbed, "--ranks", "2", ...FLAGS], { env });
        expect(whole.code, whole.stderr).toBe(0);
      }
      const spec = specFile(`killed-${rank}`);
      const args = ["train", spec, "--ranks", "2", ...FLAGS];
      const { said, ended } = begin(process.execPath, [CLI_MAIN, ...args]);
      await until(() => said.stderr.includes(`epoch 3/${EPOCHS}`), "the third epoch");
      process.kill(await until(() => pidOf(rank, spec), "the rank"), "SIGKILL");
      const { code, stderr } = await ended;
      expect([code, errorsOf(stderr)]).toEqual([2, [expect.stringMatching(line)]]);
      expect(pidOf(1 - rank, spec)).toBeUndefined();
      const resumed = await runCli(data.folder, [...args, "--resume"], { env });
      expect(resumed.code, resumed.stderr).toBe(0);
      const state = (run: string) => stateIn(join(data.folder, run));
      expect(largestDistance(await state(`killed-${rank}`), await state("undisturbed"))).toBe(0);
    },
  );
});

test.skipIf(!isHere)(
  "rank 0 that is stopped: the others say so, and it is killed, within 30 s",
  async () => {
    const spec = specFile("stopped", { epochs: "2000" });
    const { said, ended } = begin(process.execPath, [CLI_MAIN, "train", spec, "--ranks", "2", ...FLAGS]);
    await until(() => said.stderr.includes("epoch 3/"), "the third epoch");
    const pid = await until(() => pidOf(0, spec), "rank 0");
    const began = performance.now();
    process.kill(pid, "SIGSTOP");
    const { code, stderr } = await ended;
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(code).toBe(2);
    expect(stderr).toMatch(/rank 1 on \S+: rank 0 on \S+ does not answer since 14 s \[E_RANK_LOST\]/);
    expect(stderr).toMatch(/error: rank 0 ended without a word, .*\[E_RANKS\]/);
    expect([pidOf(0, spec), pidOf(1, spec)]).toEqual([undefined, undefined]);
  },
  60_000,
);

describe.skipIf(!isHere)("a rank that never comes", () => {
  /** Two ranks of mpiexec, of which one only sleeps. */
  function half(rank: number, spec: string, wait: string, sleepS = "60") {
    const own = [process.execPath, CLI_MAIN, "train", spec, ...FLAGS];
    const commands = rank === 0 ? [own, ["sleep", sleepS]] : [["sleep", sleepS], own];
    const words = commands.flatMap((command, i) => [...(i > 0 ? [":"] : []), "-n", "1", ...command]);
    return begin(MPIEXEC, words, { MTTC_RANKS_WAIT: wait });
  }

  test.each([0, 1])("is given up by rank %i, in one line, with exit code 2", async (rank) => {
    const spec = specFile(`alone-${rank}`, { strategy: "mpi" });
    const began = performance.now();
    const { code, stderr } = await half(rank, spec, WAIT_S).ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(/the other processes have not come within 2 s \[E_RANK_LOST\]/);
    expect(stderr.match(/\[E_\w+\]/g)).toHaveLength(1);
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(existsSync(join(data.folder, `alone-${rank}`))).toBe(false);
  });

  test("is waited for by one that a signal ends at once", async () => {
    const spec = specFile("signalled", { strategy: "mpi" });
    const { ended } = half(1, spec, "60");
    const pid = await until(() => pidOf(1, spec), "the waiting rank");
    // It has come to MPI, or is about to.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    process.kill(pid, "SIGTERM");
    const began = performance.now();
    await ended;
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test("or does not go on within a time that is none: refused by name, once", async () => {
    const spec = specFile("untimed", { strategy: "mpi" });
    const own = { ...env, MTTC_RANKS_STALL: "never" };
    const { code, stderr } = await runCli(data.folder, ["train", spec, "--ranks", "2", ...FLAGS], {
      env: own,
    });
    expect([code, errorsOf(stderr)]).toEqual([
      2,
      [expect.stringMatching(/MTTC_RANKS_STALL is never, expected seconds, up to 86400 .*\[E_RANKS\]/)],
    ]);
  });

  test("within a time that is none is refused by name", async () => {
    const spec = specFile("timeless", { strategy: "mpi" });
    const { code, stderr } = await half(0, spec, "soon", "2").ended;
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/MTTC_RANKS_WAIT is soon, expected .*\[E_RANKS\]/),
    ]);
  });
});
