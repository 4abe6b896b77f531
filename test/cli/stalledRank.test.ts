// `mttc train --ranks 2` with a rank whose ONNX Runtime stands still: what is printed, the exit code, and that
// nothing is left behind.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mpiFolder } from "../../runtime/ranks/mpiFolder.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { runCli } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

const HOOK = join(PROJECT_ROOT, "dist", "test", "cli", "stallingRuntime.js");
const FLAGS = ["--ep", "cpu", "--no-report"];
/** In the third epoch: each has three steps of two runs, and an evaluation. */
const CALL = 16;

let data: TinyData;
let temporary: string;
beforeAll(async () => {
  data = await makeTinyData();
  temporary = mkdtempSync(join(tmpdir(), "mttc-stalled-"));
});
afterAll(async () => {
  await data[Symbol.asyncDispose]();
  rmSync(temporary, { recursive: true, force: true });
});

/** Processes of a command with this word. */
function left(word: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(word);
    } catch {
      return false;
    }
  });
}

const isHere = existsSync(join(mpiFolder(), "bin", "mpiexec")) && existsSync("/proc/self/cmdline");

describe.skipIf(!isHere)("a rank of --ranks 2 that stands still (MPICH: `mttc setup-mpi` brings it)", () => {
  test.each([
    [1, /^error: rank 1 on \S+ did not go on for \d+ s within a step.*; saved as it was at epoch 3, step \d/],
    [
      0,
      /^error: rank 0 on \S+ did not go on for \d+ s within a step.*; saved is \S+epoch-0002 \[E_RANK_LOST\]/,
    ],
  ])("rank %i: told while it does, named at the end, exit code 2", async (rank, line) => {
    const name = `stalled-${rank}`;
    writeFileSync(join(data.folder, `${name}.yml`), tinySpec({ logdir: name, epochs: "6" }));
    const pipe = join(data.folder, `${name}.onnx`);
    execFileSync("mkfifo", [pipe]);
    const env = {
      ...{ MTTC_MPI_DIR: mpiFolder(), MTTC_RANKS_STALL: "4", TMPDIR: temporary },
      ...{ STALLING_RANK: `${rank} ${CALL} ${pipe}`, NODE_OPTIONS: `--import ${pathToFileURL(HOOK)}` },
    };
    const args = ["train", `${name}.yml`, "--ranks", "2", ...FLAGS];
    const { code, stderr } = await runCli(data.folder, args, { env });
    expect(code, stderr).toBe(2);
    const lines = stderr.split("\n");
    expect(lines.filter((each) => each.includes("has kept the others waiting"))).toEqual([
      expect.stringMatching(
        new RegExp(`^rank ${rank} on \\S+ has .* 2 s, in epoch 3, step \\d: its ONNX Runtime`),
      ),
    ]);
    expect(lines.filter((each) => /^error: .*; saved /.test(each))).toEqual([expect.stringMatching(line)]);
    // Of the one that stands still its own heartbeat says that it is ended.
    for (const each of lines.filter((one) => one.includes("[E_"))) expect(each).toContain(`rank ${rank} on `);
    expect(left(`${name}.yml`)).toEqual([]);
    expect(readdirSync(temporary)).toEqual([]);
    expect(readdirSync(join(data.folder, name)).filter((each) => each.startsWith(".lock"))).toEqual([]);
    const going = { MTTC_MPI_DIR: mpiFolder() };
    const resumed = await runCli(data.folder, [...args, "--resume"], { env: going });
    expect(resumed.code, resumed.stderr).toBe(0);
  });
});
