// A launcher that binds ranks to few cores: rank 0 says so once, with what is to be done, by every mpiexec
// that is here.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { locateMpiexec } from "../../runtime/ranks/mpiFolder.ts";
import { MPIEXECS } from "./mpiexecs.ts";
import { CLI_MAIN, runCli, runProgram } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

/** Binds to the first core, as a launcher would. */
const TASKSET = ["taskset", "-c", "0"];
const canBind = availableParallelism() > 1 && spawnSync("taskset", ["-c", "0", "true"]).status === 0;
const SAID = /2 ranks are bound to 1 of the \d+ cores of \S+, and the others lie idle: .*-bind-to none/g;

let data: TinyData;
beforeAll(async () => {
  data = await makeTinyData();
});
afterAll(() => data[Symbol.asyncDispose]());

describe.skipIf(!canBind).each(MPIEXECS)("$name", ({ isHere, env, kind }) => {
  let runs = 0;

  /** The command line that trains an epoch in a run of its own. */
  function train(...more: readonly string[]): readonly string[] {
    const run = `${kind}-${runs++}`;
    writeFileSync(join(data.folder, `${run}.yml`), tinySpec({ logdir: run, strategy: "mpi" }));
    return ["train", `${run}.yml`, "--ep", "cpu", "--no-report", "--epochs", "1", ...more];
  }

  /** What two ranks that are bound to one core say. */
  async function bound(options: readonly string[], more: readonly string[] = []): Promise<string> {
    const all = { ...process.env, ...env, OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
    const args = [...options, "-n", "2", ...TASKSET, process.execPath, CLI_MAIN, ...train(...more)];
    const mpiexec = locateMpiexec(all) ?? "";
    const { code, stderr } = await runProgram(mpiexec, args, { cwd: data.folder, env: all });
    expect([code, stderr]).toEqual([0, expect.stringContaining("epoch 1/1")]);
    return stderr;
  }

  test.skipIf(!isHere)("ranks on one core of several: rank 0 says so, once", async () => {
    expect((await bound([])).match(SAID)).toHaveLength(1);
  });

  test.skipIf(!isHere)("nothing is said of threads and bindings that were asked for", async () => {
    expect(await bound([], ["--threads", "1"])).not.toContain("bound to");
    const asked = kind === "openmpi" ? ["--bind-to", "none"] : ["-bind-to", "user:0,0"];
    expect(await bound(asked)).not.toContain("bound to");
  });

  test.skipIf(!isHere)("--ranks binds to no core, and says nothing", async () => {
    const { code, stderr } = await runCli(data.folder, train("--ranks", "2"), { env });
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("bound to")]);
  });

  test.skipIf(!isHere)("--ranks of somebody who gives it one core says nothing", async () => {
    const all = { ...process.env, ...env };
    const args = [...TASKSET.slice(1), process.execPath, CLI_MAIN, ...train("--ranks", "2")];
    const { code, stderr } = await runProgram("taskset", args, { cwd: data.folder, env: all });
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("bound to")]);
  });
});
