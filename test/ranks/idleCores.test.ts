// When rank 0 says that a launcher has bound ranks to few cores of their hosts, what it counts, and what it
// keeps quiet of: cores that somebody asked for, and limits of a cgroup.
import { describe, expect, test } from "vitest";
import { idleCoresNote } from "../../runtime/ranks/idleCores.ts";
import { launcherCores } from "../../runtime/ranks/launcherCores.ts";
import type { CoreClaim } from "../../runtime/ranks/rankCores.ts";
import { type Launcher, rankEnvironment } from "../../runtime/ranks/rankEnvironment.ts";

type Claim = readonly [allowed: string, around: number | undefined, granted?: number];

/** Ranks of hosts named a, b, c, ... */
function note(launcher: Launcher, ...hosts: readonly (readonly Claim[])[]): string | undefined {
  const facts = hosts.flatMap((claims, i) =>
    claims.map(([allowed, around, granted]) => {
      const cores: CoreClaim = { allowed, usable: 64, granted, around };
      return { host: "abc".charAt(i), boot: "", cores, device: null };
    }),
  );
  return idleCoresNote(facts, launcher);
}

describe("rank 0 says", () => {
  test.each<[string, Launcher, Claim[][], string]>([
    [
      "that Open MPI binds each of two ranks to one core",
      "openmpi",
      [
        [
          ["0", 16],
          ["1", 16],
        ],
      ],
      "2 ranks are bound to 2 of the 16 cores of a, and the others lie idle: " +
        "`mpiexec --bind-to none` lets ranks run on all",
    ],
    [
      "that ranks share one core",
      "hydra",
      [
        [
          ["0", 2],
          ["0", 2],
        ],
      ],
      "2 ranks are bound to 1 of the 2 cores of a,",
    ],
    [
      "it of a rank alone on its host",
      "openmpi",
      [[["0-3", 4]], [["0", 4]]],
      "1 rank is bound to 1 of the 4 cores of b,",
    ],
    [
      "it once of several hosts, and only of those that have idle cores",
      "openmpi",
      [
        [
          ["0", 8],
          ["1", 8],
        ],
        [
          ["0-3", 8],
          ["4-7", 8],
        ],
        [
          ["0", 8],
          ["1", 8],
        ],
      ],
      "4 ranks are bound to 4 of the 16 cores of a and 1 other host,",
    ],
    [
      "what Slurm is to be asked for",
      "slurm",
      [
        [
          ["0", 32],
          ["1", 32],
          ["2", 32],
          ["3", 32],
        ],
      ],
      "4 ranks are bound to 4 of the 32 cores of a, and the others lie idle: `srun --cpus-per-task=8`",
    ],
    [
      "that srun did not take what sbatch was asked for",
      "slurm",
      [
        [
          ["0", 32, 4],
          ["1", 32, 4],
        ],
      ],
      "2 ranks are bound to 2 of the 8 cores of a, and the others lie idle: `srun --cpus-per-task=4`",
    ],
  ])("%s", (_what, launcher, hosts, said) => {
    expect(note(launcher, ...hosts)).toContain(said);
  });

  test.each<[string, Claim[]]>([
    [
      "ranks have all cores",
      [
        ["0-15", 16],
        ["0-15", 16],
      ],
    ],
    [
      "ranks are bound to all of them together",
      [
        ["0-7", 16],
        ["8-15", 16],
      ],
    ],
    [
      "more cores are listed than a quota allows",
      [
        ["0-63", 8],
        ["0-63", 8],
      ],
    ],
    [
      "Slurm gave what it was asked for, of more",
      [
        ["0-3", 64, 4],
        ["4-7", 64, 4],
      ],
    ],
    [
      "nobody can say what there is",
      [
        ["0", undefined],
        ["1", undefined],
      ],
    ],
    [
      "one of them cannot say it",
      [
        ["0", 16],
        ["1", undefined],
      ],
    ],
    [
      "the system lists no cores",
      [
        ["", 16],
        ["", 16],
      ],
    ],
  ])("nothing where %s", (_what, claims) => {
    expect(note("openmpi", claims)).toBeUndefined();
  });
});

/** This process is a rank of Open MPI, started by npx (30), by mpiexec (20), by a shell (10). */
const TREE: Readonly<Record<string, string>> = {
  "/proc/30/environ": "A=1\0OMPI_COMM_WORLD_RANK=0\0",
  "/proc/30/status": "PPid:\t20\nCpus_allowed_list:\t3\n",
  "/proc/20/environ": "A=1\0",
  "/proc/20/status": "PPid:\t10\nCpus_allowed_list:\t0-7,16-23\n",
  "/proc/10/environ": "A=1\0",
  "/proc/10/status": "PPid:\t1\nCpus_allowed_list:\t0-63\n",
};
const OPEN_MPI = { OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "2" };
const SLURM = { SLURM_STEP_ID: "0", SLURM_PROCID: "1", SLURM_STEP_NUM_TASKS: "4", SLURM_CPUS_ON_NODE: "32" };

function around(environment: Record<string, string>, files: Readonly<Record<string, string>> = {}) {
  const launch = rankEnvironment(environment);
  if (launch === undefined) throw new Error("no launcher");
  return launcherCores(launch, environment, (path) => ({ ...TREE, ...files })[path], 30);
}

describe("the cores that a launcher could have let ranks run on", () => {
  test("are its own, not those of whoever started it, nor those of npx below it", () => {
    expect(around(OPEN_MPI)).toBe(16);
  });

  test("are Slurm's for the step on this node, where ranks are its tasks", () => {
    expect(around(SLURM)).toBe(32);
    expect(around({ ...SLURM, PMI_RANK: "1", PMI_SIZE: "4" })).toBe(32);
    expect(around({ ...SLURM, ...OPEN_MPI })).toBe(16);
  });

  test.each([
    [
      "cgroup version 2",
      { "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/cpu.max": "450000 100000\n" },
      4,
    ],
    [
      "a container's root",
      { "/proc/self/cgroup": "0::/../x\n", "/sys/fs/cgroup/cpu.max": "50000 100000\n" },
      1,
    ],
    ["no quota", { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n" }, 16],
    [
      "cgroup version 1",
      {
        "/proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/c:d\n0::/\n",
        "/sys/fs/cgroup/cpu,cpuacct/c:d/cpu.cfs_quota_us": "200000\n",
        "/sys/fs/cgroup/cpu,cpuacct/c:d/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
      },
      2,
    ],
  ])("are no more than a quota: %s", (_what, files, cores) => {
    expect(around(OPEN_MPI, files)).toBe(cores);
  });

  test.each([
    ["--bind-to of Open MPI", { OMPI_MCA_hwloc_base_binding_policy: "core" }],
    ["--cpu-set of Open MPI", { OMPI_MCA_hwloc_base_cpu_set: "0" }],
    ["-bind-to of MPICH", { HYDRA_USER_PROVIDED_BINDING: "1" }],
  ])("are not asked for where somebody has chosen: %s", (_what, variables) => {
    expect(around({ ...OPEN_MPI, ...variables })).toBeUndefined();
  });

  test("are not known where the launcher is another user's, or there is no /proc", () => {
    expect(around(OPEN_MPI, { "/proc/30/status": "PPid:\t5\n" })).toBeUndefined();
    const launch = rankEnvironment(OPEN_MPI);
    expect(launch && launcherCores(launch, OPEN_MPI, () => undefined, 30)).toBeUndefined();
  });
});
