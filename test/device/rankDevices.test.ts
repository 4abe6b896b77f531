// Which device each of several ranks computes on, on ONNX Runtime's own CUDA provider with CUDA's stand-in,
// which has as many devices as a test asks for. Runs where cudaPlacement.test.ts does, and needs `mttc
// setup-mpi`.
import { availableParallelism } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deviceOfRank } from "../../runtime/ort/rankDevice.ts";
import { mpichHere, type RanksRun, runRanks } from "../ranks/mpiPrograms.ts";
import { CudaStandIn, providerWithoutDevice } from "./cudaStandIn.ts";

const folder = providerWithoutDevice();
const mpi = mpichHere();

test("a rank's device is the one at its place, from the one that is named on", () => {
  const cuda = { kind: "cuda", device: 1, tf32: false } as const;
  expect([0, 1, 2].map((rank) => deviceOfRank(cuda, rank, () => 4))).toMatchObject(
    [1, 2, 3].map((device) => ({ device })),
  );
  expect(deviceOfRank(cuda, 0, () => 1)).toBe(cuda);
  expect(deviceOfRank({ kind: "auto", tf32: false }, 1, () => 2)).toMatchObject({ kind: "auto", device: 1 });
  expect(deviceOfRank({ kind: "cpu" }, 1, () => 2)).toEqual({ kind: "cpu" });
});

describe.skipIf(folder === undefined || mpi === undefined)("ranks on CUDA's stand-in", () => {
  let standIn: CudaStandIn;
  beforeAll(() => {
    standIn = new CudaStandIn(folder ?? "");
  });
  afterAll(() => standIn[Symbol.dispose]());

  async function join(name: string, devices: string, uuids = "a", size = 2): Promise<RanksRun["reports"]> {
    const { reports, stderr } = await runRanks({
      mpi: mpi!,
      size,
      program: "test/device/rankDeviceProgram.js",
      args: [name, folder ?? "", standIn.build, devices, uuids],
      environment: { MTTC_CUDA_LIBS: standIn.build },
    });
    expect(stderr).not.toContain("at ");
    return reports;
  }

  test.each(["cuda", "auto"])("%s: each has its own, and its share of the cores", async (name) => {
    const cores = Math.max(1, Math.floor(availableParallelism() / 2));
    expect(await join(name, "2")).toMatchObject(
      [0, 1].map((device) => ({ provider: { kind: "cuda", device }, cores })),
    );
  });

  test("cuda:1 is the first of a range; a device that each sees as its only one is its own", async () => {
    expect(await join("cuda:1", "3")).toMatchObject([1, 2].map((device) => ({ provider: { device } })));
    expect(await join("cuda", "1", "a,b")).toMatchObject([0, 0].map((device) => ({ provider: { device } })));
  });

  test("more ranks than devices is refused on all, by the ranks and the host", async () => {
    for (const report of await join("auto", "2", "a", 3))
      expect(report).toMatchObject({
        code: "E_RANKS",
        error: expect.stringMatching(
          /ranks 0 and 2 on \S+ would share CUDA device 0: 3 ranks there have 2 devices/,
        ),
      });
  });

  test("a device that does not open on one rank is told by rank 0, at once", async () => {
    const [told, own] = await join("cuda:1", "2,1");
    expect(told).toMatchObject({
      code: expect.stringMatching(/^E_(CUDA|ORT)/),
      error: expect.stringMatching(/rank 1 on \S+: .*/),
    });
    expect(own).toMatchObject({ provider: { kind: "cpu" } });
  });
});
