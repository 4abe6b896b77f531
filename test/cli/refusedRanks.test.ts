// What all ranks refuse alike is said by one of them, once, also where that one starts seconds after the
// others, whose end makes an mpiexec kill it.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { locateMpiexec } from "../../runtime/ranks/mpiFolder.ts";
import { MPIEXECS } from "./mpiexecs.ts";
import { CLI_MAIN, runProgram } from "./runCli.ts";
import { makeTinyData, type TinyData } from "./tinyData.ts";

/** Rank 0 reads its program from a slow disk. */
const LATE = 'if [ "$' + '{OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 0 ]; then sleep 3; fi; exec "$@"';

let data: TinyData;
beforeAll(async () => {
  data = await makeTinyData();
});
afterAll(() => data[Symbol.asyncDispose]());

describe.each(MPIEXECS)("$name", ({ isHere, env }) => {
  test.skipIf(!isHere).each([
    [["train", "spec.yml", "--epoch", "3"], "error: unknown option '--epoch'"],
    [["doctor"], "error: mttc doctor is for one process"],
  ])("mttc %j", { timeout: 30_000 }, async (args, said) => {
    const all = { ...process.env, ...env, OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
    const program = ["/bin/sh", "-c", LATE, "mttc", process.execPath, CLI_MAIN, ...args];
    const mpiexec = locateMpiexec(all) ?? "";
    const began = performance.now();
    const { code, stderr } = await runProgram(mpiexec, ["-n", "2", ...program], {
      cwd: data.folder,
      env: all,
    });
    // Nobody waits once it is said.
    expect(performance.now() - began).toBeLessThan(8_000);
    expect([code, stderr.split(said).length - 1, stderr]).toEqual([2, 1, expect.anything()]);
  });
});
