// Rank and size out of what launchers leave in the environment: each of them alone, inside Slurm, and what
// does not fit together.
import { describe, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { rankEnvironment } from "../../runtime/ranks/rankEnvironment.ts";

/** As MPICH 5.0.2's mpiexec leaves it in rank 1 of 2, seen. */
const HYDRA = {
  HYDI_CONTROL_FD: "7",
  PMI_HOSTNAME: "vm",
  MPI_LOCALNRANKS: "2",
  MPI_LOCALRANKID: "1",
  PMI_RANK: "1",
  PMI_FD: "11",
  PMI_SIZE: "2",
};
const OPEN_MPI = {
  OMPI_COMM_WORLD_SIZE: "8",
  OMPI_COMM_WORLD_RANK: "5",
  OMPI_COMM_WORLD_LOCAL_SIZE: "4",
  OMPI_COMM_WORLD_LOCAL_RANK: "1",
  PMIX_RANK: "5",
};
const TORCHRUN = { RANK: "3", WORLD_SIZE: "4", LOCAL_RANK: "1", LOCAL_WORLD_SIZE: "2", MASTER_ADDR: "a" };
/** Task 5 of `srun -N 2 -n 8`. */
const SRUN = {
  SLURM_JOB_ID: "77",
  SLURM_STEP_ID: "0",
  SLURM_STEP_NUM_TASKS: "8",
  SLURM_NTASKS: "8",
  SLURM_PROCID: "5",
  SLURM_LOCALID: "1",
  SLURM_NODEID: "1",
  SLURM_GTIDS: "4,5,6,7",
};
/** A batch script of `sbatch -N 2 -n 8`, which is one process. */
const SBATCH = {
  SLURM_JOB_ID: "77",
  SLURM_NTASKS: "8",
  SLURM_PROCID: "0",
  SLURM_LOCALID: "0",
  SLURM_NODEID: "0",
  SLURM_GTIDS: "0",
};

describe("a process knows its place", () => {
  test("without a launcher it has none", () => {
    expect(rankEnvironment({ PATH: "/bin", HOME: "/root" })).toBeUndefined();
  });

  test("under MPICH's mpiexec", () => {
    const local = { rank: 1, size: 2 };
    expect(rankEnvironment(HYDRA)).toEqual({ launcher: "hydra", rank: 1, size: 2, local });
  });

  test("under Open MPI's, on two hosts", () => {
    const local = { rank: 1, size: 4 };
    expect(rankEnvironment(OPEN_MPI)).toEqual({ launcher: "openmpi", rank: 5, size: 8, local });
  });

  test("under torchrun", () => {
    const local = { rank: 1, size: 2 };
    expect(rankEnvironment(TORCHRUN)).toEqual({ launcher: "torchrun", rank: 3, size: 4, local });
  });

  test("under srun, with and without a PMI", () => {
    const place = { rank: 5, size: 8, local: { rank: 1, size: 4 } };
    expect(rankEnvironment(SRUN)).toEqual({ launcher: "slurm", ...place });
    expect(rankEnvironment({ ...SRUN, PMIX_RANK: "5" })).toEqual({ launcher: "slurm", ...place });
    const pmi2 = { ...SRUN, PMI_RANK: "5", PMI_SIZE: "8", PMI_FD: "9" };
    expect(rankEnvironment(pmi2)).toEqual({ launcher: "hydra", ...place });
  });

  test("under a launcher that does not say which of this host it is", () => {
    expect(rankEnvironment({ PMI_RANK: "2", PMI_SIZE: "3" })).toEqual({
      launcher: "hydra",
      rank: 2,
      size: 3,
    });
    const { SLURM_GTIDS: _, ...without } = SRUN;
    expect(rankEnvironment(without)?.local).toBeUndefined();
  });

  test("under Cray's launcher, which calls the local ones otherwise", () => {
    const cray = { PMI_RANK: "6", PMI_SIZE: "8", PMI_LOCAL_RANK: "2", PMI_LOCAL_SIZE: "4" };
    expect(rankEnvironment(cray)?.local).toEqual({ rank: 2, size: 4 });
  });

  test("as one of one", () => {
    expect(rankEnvironment({ PMI_RANK: "0", PMI_SIZE: "1" })).toMatchObject({ rank: 0, size: 1 });
  });
});

describe("Slurm's variables where there is no task of several", () => {
  test("a batch script is one process, however many tasks it may start", () => {
    expect(rankEnvironment(SBATCH)).toBeUndefined();
  });

  test("a shell of salloc likewise; as a step of its own it is one of one", () => {
    expect(rankEnvironment({ SLURM_JOB_ID: "77", SLURM_NTASKS: "8" })).toBeUndefined();
    const step = { ...SBATCH, SLURM_STEP_ID: "4294967290", SLURM_STEP_NUM_TASKS: "1" };
    expect(rankEnvironment(step)).toMatchObject({ launcher: "slurm", rank: 0, size: 1 });
  });

  test("mpiexec in a batch script: its own variables count", () => {
    expect(rankEnvironment({ ...SBATCH, ...HYDRA })).toMatchObject({ launcher: "hydra", rank: 1, size: 2 });
    expect(rankEnvironment({ ...SBATCH, ...OPEN_MPI })).toMatchObject({ rank: 5, size: 8 });
  });

  test("mpiexec that starts its proxies by srun: the tasks are proxies, one a node", () => {
    const proxies = { ...SRUN, SLURM_STEP_NUM_TASKS: "2", SLURM_PROCID: "1", SLURM_GTIDS: "1" };
    const rank = { PMI_RANK: "5", PMI_SIZE: "8" };
    expect(rankEnvironment({ ...proxies, ...rank })).toEqual({ launcher: "hydra", rank: 5, size: 8 });
    const hydra = { ...rank, MPI_LOCALRANKID: "1", MPI_LOCALNRANKS: "4" };
    expect(rankEnvironment({ ...proxies, ...hydra })?.local).toEqual({ rank: 1, size: 4 });
  });

  test("mpiexec of one process inside each task is one of one", () => {
    expect(rankEnvironment({ ...SRUN, PMI_RANK: "0", PMI_SIZE: "1" })).toMatchObject({ rank: 0, size: 1 });
  });
});

describe("two launchers inside each other", () => {
  test("one of which started one process: the other counts", () => {
    const one = { OMPI_COMM_WORLD_SIZE: "1", OMPI_COMM_WORLD_RANK: "0" };
    expect(rankEnvironment({ ...one, ...HYDRA })).toMatchObject({ launcher: "hydra", rank: 1, size: 2 });
  });

  test("that agree: as one", () => {
    const torch = { RANK: "1", WORLD_SIZE: "2" };
    expect(rankEnvironment({ ...HYDRA, ...torch })).toMatchObject({ launcher: "hydra", rank: 1, size: 2 });
  });
});

const REFUSED: readonly (readonly [string, Record<string, string>, string])[] = [
  ["two launchers of other sizes", { ...HYDRA, ...OPEN_MPI }, "PMI_SIZE is 2"],
  ["two launchers of other ranks", { ...HYDRA, RANK: "0", WORLD_SIZE: "2" }, "RANK is 0"],
  ["a rank without a size", { PMI_RANK: "0" }, "PMI_RANK is 0, and PMI_SIZE is not set"],
  ["a size without a rank", { OMPI_COMM_WORLD_SIZE: "2" }, "OMPI_COMM_WORLD_RANK is not set"],
  ["torchrun's size without a rank", { WORLD_SIZE: "2" }, "RANK is not set"],
  ["torchrun's ranks without a size", { RANK: "1", LOCAL_RANK: "1" }, "WORLD_SIZE is not set"],
  ["PMIx without a size", { PMIX_RANK: "1" }, "PMIX_RANK is 1"],
  ["a step without its number of tasks", { SLURM_STEP_ID: "0", SLURM_PROCID: "1" }, "SLURM_STEP_NUM_TASKS"],
  ["a rank that is the size", { PMI_RANK: "2", PMI_SIZE: "2" }, "below the size"],
  ["a size of none", { PMI_RANK: "0", PMI_SIZE: "0" }, "PMI_SIZE is 0"],
  ["a rank below 0", { PMI_RANK: "-1", PMI_SIZE: "2" }, "PMI_RANK is -1, expected a whole number"],
  ["a rank that is no number", { PMI_RANK: "one", PMI_SIZE: "2" }, "PMI_RANK is one"],
  ["a broken number", { PMI_RANK: "0.5", PMI_SIZE: "2" }, "whole number"],
  ["a number beyond all", { PMI_RANK: "0", PMI_SIZE: "99999999999" }, "whole number"],
  ["more here than in all", { ...HYDRA, MPI_LOCALNRANKS: "4" }, "do not fit rank 1 of 2"],
  ["how many here, and not which", { PMI_RANK: "0", PMI_SIZE: "2", MPI_LOCALNRANKS: "2" }, "MPI_LOCALRANKID"],
];

test.each(REFUSED)("%s: refused by the names of the variables", (_, environment, words) => {
  let error: unknown;
  try {
    rankEnvironment(environment);
  } catch (cause) {
    error = cause;
  }
  expect(error).toBeInstanceOf(MttcError);
  if (!(error instanceof MttcError)) return;
  expect(error.code).toBe("E_RANKS");
  expect(error.message).toContain(words);
  expect(error.exitCode).toBe(2);
});

test("what is set to nothing is not set, and RANK alone is anybody's name", () => {
  expect(rankEnvironment({ PMI_RANK: "", PMI_SIZE: "" })).toBeUndefined();
  expect(rankEnvironment({ RANK: "captain" })).toBeUndefined();
  expect(rankEnvironment({ RANK: "3" })).toBeUndefined();
});
