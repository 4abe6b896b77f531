// Sums and copies between real processes, by every MPI that is here: MPICH of `mttc setup-mpi` (or
// MTTC_MPI_DIR), its own older ABI, Open MPI. Needs dist/.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { mpiFolder } from "../../runtime/ranks/mpiFolder.ts";
import { rejection } from "../ort/rejection.ts";
import { classicMpichHere, type MpiHere, mpichHere, openMpiHere, runRanks } from "./mpiPrograms.ts";

const PROGRAM = "test/ranks/rankScenarios.js";

const MPIS: readonly (readonly [string, MpiHere | undefined])[] = [
  ["MPICH (not here: `mttc setup-mpi` brings it)", mpichHere()],
  ["MPICH's own ABI (not here: MTTC_TEST_MPICH names its libmpi.so.12)", classicMpichHere()],
  ["Open MPI (not here: the system's package openmpi-bin has it)", openMpiHere()],
];

async function reportsOf(mpi: MpiHere, size: number, scenario: string): Promise<readonly unknown[]> {
  const { status, stderr, reports } = await runRanks({ mpi, size, program: PROGRAM, args: [scenario] });
  expect(status, stderr + JSON.stringify(reports)).toBe(0);
  return reports;
}

for (const [title, mpi] of MPIS) {
  const here = describe.skipIf(mpi === undefined);
  here(mpi?.name ?? title, () => {
    const run = (size: number, scenario: string) => reportsOf(mpi as MpiHere, size, scenario);

    test.each([2, 4])("%i ranks: every element of every size is the sum over all", async (size) => {
      const reports = await run(size, "sums");
      for (const [rank, report] of reports.entries())
        expect(report).toMatchObject({
          wrong: 0,
          nothing: 0,
          zeros: 0,
          place: { rank, size, localRank: rank, localSize: size, engine: "mpi" },
        });
    });

    test("three ranks: sums have the same bits everywhere", async () => {
      const [first, ...others] = await run(3, "bits");
      expect((first as { bits: string[] }).bits.map((bits) => bits.length > 1000)).toEqual([true, true]);
      for (const other of others) expect(other).toEqual(first);
    });

    test("100 MB are summed", async () => {
      for (const report of await run(2, "large")) expect(report).toEqual({ wrong: 0 });
    });

    test.each([2, 3])("%i ranks: tensors and bytes of rank 0 come to all", async (size) => {
      for (const report of await run(size, "broadcasts"))
        expect(report).toEqual({
          wrong: 0,
          texts: ["from rank 0", "", "5000000 of 1"],
          others: "1,2,3,4,5,1,1,1,1,1,1,1",
        });
    });

    test("a rank that comes late is waited for", async () => {
      for (const report of await run(2, "late")) expect(report).toEqual({ wrong: 0 });
    });

    test("what is no float32, and what is not there, is refused", async () => {
      for (const report of await run(2, "misuse"))
        expect(report).toMatchObject({
          sum: expect.stringContaining('tensor "i" is int64: only float32 is summed'),
          unknown: expect.stringContaining('there is no tensor "j"'),
        });
    });
  });
}

describe.skipIf(mpichHere() === undefined)("a lost rank", () => {
  test.each(["lost", "stopped"])("is no wait for ever once the flag is set: %s", async (scenario) => {
    const mpi = mpichHere() as MpiHere;
    const { reports } = await runRanks({ mpi, size: 3, program: PROGRAM, args: [scenario], outlives: true });
    for (const rank of [0, 2]) {
      expect(reports[rank]).toMatchObject({ codes: Array(3).fill("E_RANK_LOST"), isThere: true });
      expect((reports[rank] as { waitedMs: number }).waitedMs).toBeLessThan(5000);
    }
  });
});

describe.skipIf(mpichHere() === undefined)("a rank that never comes", () => {
  test("is given up after a while, and the thread that waits with it", async () => {
    const mpi = mpichHere() as MpiHere;
    const { reports } = await runRanks({ mpi, size: 2, program: PROGRAM, args: ["absent"] });
    expect(reports[0]).toEqual({ code: "E_RANK_LOST", later: "E_ORT" });
  });
});

describe.skipIf(mpichHere() === undefined)("launchers and libraries", () => {
  const alone = (environment: Readonly<Record<string, string>>) =>
    runRanks({ mpi: null, size: 1, program: PROGRAM, args: ["sums"], environment });

  test("a process that was started alone is a world of one", async () => {
    const { reports, stderr } = await alone({});
    expect(reports, stderr).toMatchObject([{ wrong: 0, place: { rank: 0, size: 1, localSize: 1 } }]);
  });

  test.each([
    [
      "Slurm's srun started 4 processes",
      { SLURM_STEP_ID: "0", SLURM_PROCID: "1", SLURM_STEP_NUM_TASKS: "4" },
    ],
    ["torchrun started 2 processes", { RANK: "0", WORLD_SIZE: "2", LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "2" }],
    [
      "Slurm's srun started 3 processes",
      { PMIX_RANK: "0", SLURM_STEP_ID: "0", SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "3" },
    ],
    [
      "Open MPI's mpiexec started 2 processes",
      { OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "2", MTTC_MPI_DIR: mpiFolder() },
    ],
  ])("worlds that are not what was started are refused: %s", async (message, environment) => {
    const { reports, status } = await alone(environment);
    expect(status).toBe(3);
    expect(reports).toMatchObject([{ code: "E_RANKS", error: expect.stringContaining(message) }]);
  });

  test.skipIf(openMpiHere() === undefined)("Open MPI under MPICH's mpiexec is refused", async () => {
    const start = { mpi: mpichHere() as MpiHere, size: 2, program: PROGRAM };
    const { reports } = await runRanks({ ...start, args: ["sums", "libmpi.so.40"] });
    expect(reports[0]).toMatchObject({ code: "E_RANKS", error: expect.stringContaining("finds 1 of them") });
  });

  test.each([
    ["no library", "text", "cannot be loaded"],
    ["a library, but not MPI's", "libm.so.6", "is not MPI's library"],
  ])("%s is refused by name", async (_title, file, message) => {
    const folder = mkdtempSync(join(tmpdir(), "mttc-mpi-"));
    const host = await OrtHost.start({ intraOpThreads: 1 });
    try {
      const text = join(folder, "libmpi_abi.so.1");
      writeFileSync(text, "not a library");
      const library = file === "text" ? text : file;
      const error = await rejection(host.joinRanks({ engine: "mpi", library }));
      expect(error.code).toBe("E_MPI_LIBRARY");
      expect(error.message).toContain(message);
      expect(error.message).toContain("mttc setup-mpi");
    } finally {
      await host.close();
      rmSync(folder, { recursive: true });
    }
  });
});
