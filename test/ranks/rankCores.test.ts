// How the cores of a host are divided among its ranks: bound by a launcher or not, in a container or not,
// with and without a word of Slurm's.
import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import { type CoreClaim, ownCores, shareOfCores } from "../../runtime/ranks/rankCores.ts";
import { rankEnvironment } from "../../runtime/ranks/rankEnvironment.ts";

function claim(allowed: string, usable: number, granted?: number): CoreClaim {
  return { allowed, usable, granted };
}

function shares(claims: readonly CoreClaim[]): number[] {
  return claims.map((own) => shareOfCores(own, claims));
}

describe("a rank's share of its host's cores", () => {
  test.each<[string, CoreClaim[], number[]]>([
    ["four that may run anywhere share 32", Array(4).fill(claim("0-31", 32)), [8, 8, 8, 8]],
    ["three share ten: whole cores", Array(3).fill(claim("0-9", 10)), [3, 3, 3]],
    ["three share nine", Array(3).fill(claim("0-8", 9)), [3, 3, 3]],
    [
      "bound to eight each of 32: all eight",
      [0, 8, 16, 24].map((i) => claim(`${i}-${i + 7}`, 8)),
      [8, 8, 8, 8],
    ],
    ["bound to sockets by twos", ["0-15", "0-15", "16-31", "16-31"].map((s) => claim(s, 16)), [8, 8, 8, 8]],
    ["hyperthreads in two ranges", [claim("0-3,16-19", 8), claim("4-7,20-23", 8)], [8, 8]],
    ["one bound, one not", [claim("0", 1), claim("0-3", 4)], [1, 3]],
    ["more ranks than cores", Array(5).fill(claim("0-1", 2)), [1, 1, 1, 1, 1]],
    ["taskset of all: 0-7 of 32", Array(4).fill(claim("0-7", 8)), [2, 2, 2, 2]],
    ["a container's quota of 8 on 64 cores", Array(4).fill(claim("0-63", 8)), [2, 2, 2, 2]],
    ["Slurm gives 8 and binds nothing, on 64 cores", Array(4).fill(claim("0-63", 64, 8)), [8, 8, 8, 8]],
    ["Slurm says 8, and one core is all it is bound to", [claim("3", 1, 8), claim("4", 1, 8)], [1, 1]],
    ["a system that lists no cores", Array(4).fill(claim("", 10)), [2, 2, 2, 2]],
    ["alone", [claim("0-7", 8)], [8]],
  ])("%s", (_what, claims, wanted) => {
    expect(shares(claims)).toEqual(wanted);
  });

  test("this process's own are what it may use", () => {
    const own = ownCores(undefined);
    expect(own.usable).toBe(availableParallelism());
    if (process.platform === "linux") expect(shareOfCores(own, [own])).toBeGreaterThanOrEqual(1);
    expect(shareOfCores({ ...own, granted: 1 }, [own])).toBe(1);
  });
});

test("cores that Slurm gives a task are the task's, not those of another launcher's processes", () => {
  const step = { SLURM_STEP_ID: "0", SLURM_PROCID: "1", SLURM_STEP_NUM_TASKS: "4", SLURM_CPUS_PER_TASK: "8" };
  expect(rankEnvironment(step)?.cores).toBe(8);
  expect(rankEnvironment({ ...step, PMI_RANK: "1", PMI_SIZE: "4" })?.cores).toBe(8);
  expect(rankEnvironment({ ...step, PMI_RANK: "1", PMI_SIZE: "2" })?.cores).toBeUndefined();
  expect(rankEnvironment({ ...step, SLURM_CPUS_PER_TASK: "" })?.cores).toBeUndefined();
  expect(rankEnvironment({ ...step, SLURM_CPUS_ON_NODE: "32" })).toMatchObject({ cores: 8, hostCores: 32 });
});
