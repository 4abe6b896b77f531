// The NCCL engine between real processes, against a stand-in library built here from C: unique id by value,
// groups, streams, aborts, and who gets which engine. Of NCCL itself it says nothing. Needs dist/, gcc and
// `mttc setup-mpi`.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MpiHere, mpichHere, type RanksRun, runRanks } from "./mpiPrograms.ts";

const mpi = mpichHere();

function hasCompiler(): boolean {
  try {
    execFileSync("gcc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    // A machine without a compiler: nothing can be built.
    return false;
  }
}

describe.skipIf(mpi === undefined || !hasCompiler())("NCCL's stand-in (needs setup-mpi and gcc)", () => {
  let folder: string;
  let library: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "mttc-nccl-"));
    library = join(folder, "libnccl.so.2");
    const source = "test/ranks/standIn/nccl.c";
    execFileSync("gcc", ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-lpthread"]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function run(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<RanksRun> {
    const [scenario = "", engine = "nccl", ...others] = args;
    return runRanks({
      mpi: mpi as MpiHere,
      size: scenario === "three" ? 3 : 2,
      program: "test/ranks/ncclScenarios.js",
      args: [scenario, engine, library, ...others],
      environment: { MTTC_NCCL_DIR: folder, ...environment },
      outlives: true,
    });
  }

  test.each(["two", "three"])(
    "%s ranks: sums and copies on devices and in the host's memory",
    async (size) => {
      const { reports, stderr } = await run([size, "auto"]);
      for (const [rank, report] of reports.entries())
        expect(report, stderr).toMatchObject({
          wrong: 0,
          bytes: "of 0",
          place: { rank, engine: "nccl", version: expect.stringMatching(/^NCCL 2\.31\.2, MPICH/) },
        });
    },
  );

  test("a lost rank ends the wait, and NCCL's call is aborted", async () => {
    const { reports, stderr } = await run(["lost"]);
    expect(reports[0]).toEqual({ codes: ["E_RANK_LOST", "E_RANK_LOST"] });
    expect(stderr).toContain("ncclCommAbort");
  });

  test("auto takes MPI where one rank has no device, and NCCL by name is refused on all", async () => {
    const { reports } = await run(["none", "nccl", "1"]);
    expect(reports[0]).toMatchObject({
      code: "E_RANKS",
      error: expect.stringContaining("1 of 2 ranks cannot use it"),
    });
    expect(reports[1]).toMatchObject({
      code: "E_CUDA_DEVICE",
      error: expect.stringContaining("strategy: mpi"),
    });
    const auto = await run(["place", "auto", "1"]);
    for (const report of auto.reports) expect(report).toMatchObject({ engine: "mpi", reachesDevices: false });
  });

  test("two ranks on one device are refused before NCCL is asked", async () => {
    const { reports } = await run(["shared"]);
    for (const report of reports)
      expect(report).toMatchObject({
        code: "E_RANKS",
        error: expect.stringContaining("would share CUDA device 0: 2 ranks there have one device"),
      });
  });

  test("a library that is not there, and what NCCL reports, are typed errors", async () => {
    const missing = await run(["none"], { MTTC_NCCL_DIR: join(folder, "elsewhere") });
    for (const report of missing.reports)
      expect(report).toMatchObject({ error: expect.stringContaining("MTTC_NCCL_DIR is") });
    const failing = await run(["none"], { MTTC_TEST_NCCL_FAILS: "1" });
    for (const report of failing.reports)
      expect(report).toMatchObject({
        code: "E_NCCL",
        error: expect.stringContaining("NCCL error 4: invalid argument"),
      });
  });
});
