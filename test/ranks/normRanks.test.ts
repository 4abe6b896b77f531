// Batch norm over real processes: two and three of them, started by mpiexec, run the gradients of a net on
// ONNX Runtime, each on its images; together they give what one process does with all. Needs dist/.
import { expect, test } from "vitest";
import { gradientsOf, initialState, nextState, randomBatch, tensorOf, train } from "../step/experiment.ts";
import { withRunner } from "../step/graphRunner.ts";
import { relativeDistance } from "../step/tensors.ts";
import { RANKS_FLOAT32 } from "../tolerances.ts";
import { type MpiHere, mpichHere, openMpiHere, runRanks } from "./mpiPrograms.ts";
import { normedNet } from "./normedNet.ts";

interface Found {
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  readonly stepMs: number;
}

const MPIS: readonly (readonly [string, MpiHere | undefined])[] = [
  ["MPICH (not here: `mttc setup-mpi` brings it)", mpichHere()],
  ["Open MPI (not here: the system's package openmpi-bin has it)", openMpiHere()],
];

async function reportsOf(mpi: MpiHere, size: number, scenario: string): Promise<readonly unknown[]> {
  const outlives = scenario === "lost";
  const start = { mpi, size, program: "test/ranks/normProgram.js", args: [scenario], outlives };
  const { stderr, reports } = await runRanks(start);
  expect(reports, stderr).not.toContain(undefined);
  return reports;
}

for (const [title, mpi] of MPIS)
  for (const size of [2, 3])
    test.skipIf(mpi === undefined)(
      `${mpi?.name ?? title}: ${size} processes give the gradients and statistics of one`,
      async () => {
        const found = (await reportsOf(mpi as MpiHere, size, "sum")) as readonly Found[];
        const single = normedNet(1);
        const { bundle } = single;
        const batch = randomBatch(bundle, "several processes");
        const state = initialState(bundle);
        const expected = withRunner("ONNX Runtime", single, (run) => ({
          gradients: gradientsOf(run, bundle, state, batch),
          state: nextState(state, train(run, bundle, state, batch, 0)),
        }));
        const ofAll = (name: string) => found.map(({ outputs }) => outputs[name] ?? []);
        for (const [parameter, { data }] of expected.gradients) {
          const parts = ofAll(`next/accumulated/${parameter}`);
          const summed = data.map((_, i) => parts.reduce((sum, part) => sum + (part[i] ?? Number.NaN), 0));
          expect(relativeDistance(summed, data), parameter).toBeLessThan(RANKS_FLOAT32);
        }
        const statistics = bundle.manifest.state.filter(({ group }) => group === "statistic");
        expect(statistics.length).toBe(12);
        for (const { name } of statistics) {
          const [first, ...others] = ofAll(`next/${name}`);
          // To the bit: no process may drift away from the others.
          for (const other of others) expect(other, name).toEqual(first);
          const { data } = tensorOf(expected.state, name);
          expect(relativeDistance(Float64Array.from(first ?? []), data), name).toBeLessThan(RANKS_FLOAT32);
        }
      },
      60_000,
    );

test.skipIf(mpichHere() === undefined)(
  "a process that dies in the middle of a graph ends the others' run with E_RANK_LOST, not as a fault of ONNX Runtime",
  async () => {
    const [first] = await reportsOf(mpichHere() as MpiHere, 2, "lost");
    expect(first).toEqual({ code: "E_RANK_LOST" });
  },
  60_000,
);
