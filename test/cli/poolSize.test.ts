// The size of libuv's pool, set before anything else runs: by the cores that are a process's, however it was
// started, and never against what a user has set.
import { createRequire } from "node:module";
import { expect, test } from "vitest";

type PoolSize = (environment: NodeJS.ProcessEnv, usable: number, cores: number) => string | undefined;
const { poolSize } = createRequire(import.meta.url)("../../cli/poolSize.cjs") as { poolSize: PoolSize };

const four = { MPI_LOCALNRANKS: "4" };
const slurm = { SLURM_STEP_ID: "0", SLURM_GTIDS: "4,5,6,7" };

test.each<[string, NodeJS.ProcessEnv, number, number, string | undefined]>([
  ["a process alone", {}, 32, 32, "34"],
  ["what a user has set", { UV_THREADPOOL_SIZE: "3" }, 32, 32, undefined],
  ["four ranks", four, 32, 32, "10"],
  ["of Open MPI", { OMPI_COMM_WORLD_LOCAL_SIZE: "2" }, 32, 32, "18"],
  ["more ranks than cores", four, 2, 2, "3"],
  ["bound to eight each", four, 8, 32, "10"],
  ["all bound to the same eight of 16", four, 8, 16, "4"],
  ["tasks of Slurm, not bound", slurm, 32, 32, "10"],
  ["tasks of Slurm with four cores each", { ...slurm, SLURM_CPUS_PER_TASK: "4" }, 32, 32, "6"],
  ["a batch script of Slurm", { SLURM_GTIDS: "0", SLURM_CPUS_PER_TASK: "4" }, 32, 32, "34"],
  [
    "--ranks, with what it had itself",
    { ...four, MTTC_RANKS_END: "end", UV_THREADPOOL_SIZE: "34" },
    32,
    32,
    "10",
  ],
  ["--ranks, with a wish", { ...four, MTTC_RANKS_END: "end", UV_THREADPOOL_SIZE: "8" }, 32, 32, undefined],
])("%s", (_what, environment, usable, cores, wanted) => {
  expect(poolSize(environment, usable, cores)).toBe(wanted);
});
