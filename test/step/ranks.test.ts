// Several processes that train one model, each on its share of the rows: what compile() makes for them, and
// that together they compute what one process does.
import { describe, expect, test } from "vitest";
import {
  accumulates,
  BUNDLE_VERSION,
  microBatchRows,
  RANKED_VERSION,
} from "../../compiler/bundle/manifest.ts";
import { compile } from "../../compiler/compile.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { interpretTogether } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { parseManifest } from "../../runtime/runs/manifestReading.ts";
import { countedTasks, stepGraph } from "../../runtime/train/microBatch.ts";
import { SUM_ORDER_FLOAT64 } from "../tolerances.ts";
import { numberedClasses, type TracedBundle } from "../training/tracedGraphs.ts";
import {
  accumulatorsOf,
  type Batch,
  compileExperiment,
  gradientsOf,
  initialState,
  microBatches,
  nextState,
  randomBatch,
  scalarsOf,
  tensorOf,
  train,
} from "./experiment.ts";
import { type Tensors, withRunner } from "./graphRunner.ts";
import { relativeDistance } from "./tensors.ts";

const CLASSES = { a: 3, b: 2 };
const RATE = 0.01;

/** What the processes give together, each from its rows of the batch: outputs of grad by rank. */
function together(ranked: TracedBundle, single: TracedBundle, batch: Batch, stage: string, state: Tensors) {
  const { ranks = 1 } = ranked.bundle.manifest;
  const sums = accumulatorsOf(ranked.bundle).map(({ name, shape }): [string, NDArray] => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    return [name, { dtype: "float32", shape, data: new Float64Array(count) }];
  });
  const shared = [...state, ...scalarsOf(single.bundle, batch, RATE), ...sums];
  const graph = ranked.stages.get(stage)!;
  return interpretTogether(
    graph,
    microBatches(batch, ranks).map((rows) => new Map([...shared, ...rows])),
  );
}

/** Element by element. */
function sum(arrays: readonly NDArray[]): Float64Array {
  return arrays.reduce(
    (total, { data }) => total.map((value, i) => value + data[i]!),
    new Float64Array(arrays[0]!.data.length),
  );
}

describe("what is compiled for several processes", () => {
  const { manifest } = compileExperiment({ batch_size: 8, accumulate: 2 }, CLASSES, undefined, "cpu", {
    ranks: 2,
  }).bundle;

  test("grad takes a process's rows of a micro-batch, evaluate a whole batch; there is no whole step", () => {
    const rowsOf = (graph: string) =>
      manifest.graphs[graph]?.inputs.find(({ role }) => role === "image")?.shape[0];
    expect([rowsOf("grad"), rowsOf("evaluate")]).toEqual([2, 8]);
    expect(Object.keys(manifest.graphs).filter((name) => name.startsWith("train"))).toEqual([]);
    expect([manifest.batchSize, manifest.accumulate, manifest.ranks]).toEqual([8, 2, 2]);
    expect([microBatchRows(manifest), accumulates(manifest)]).toEqual([2, true]);
  });

  test("a step is grad and apply without micro-batches too, and the host counts labels", () => {
    const { manifest: whole } = compileExperiment({}, CLASSES, undefined, "cpu", { ranks: 2 }).bundle;
    expect([stepGraph(whole, "image"), accumulates(whole)]).toEqual(["grad", true]);
    expect([...countedTasks(whole)]).toEqual(["a", "b"]);
    expect(whole.graphs.apply?.purpose).toBe("apply");
  });

  test("its manifest has a version of its own; readers of before refuse it by that", () => {
    const stored = (entry: object) =>
      new TextEncoder().encode(JSON.stringify({ ...manifest, files: {}, ...entry }));
    expect(manifest.version).toBe(RANKED_VERSION);
    expect(parseManifest(stored({}), "m").ranks).toBe(2);
    expect(() => parseManifest(stored({ ranks: undefined }), "m")).toThrow(/ranks/);
    expect(() => parseManifest(stored({ version: RANKED_VERSION + 1 }), "m")).toThrow(/update|version 4/);
    expect(compileExperiment({}, CLASSES).bundle.manifest).toMatchObject({ version: BUNDLE_VERSION });
    expect(compileExperiment({}, CLASSES).bundle.manifest.ranks).toBeUndefined();
  });

  test("graphs of features are cut alike", () => {
    const spec: Partial<SpecInput> = { train_fcn: false, batch_size: 8, shared_layers: [4] };
    const frozen = compileExperiment(spec, CLASSES, undefined, "cpu", { ranks: 4 }).bundle.manifest;
    expect(Object.keys(frozen.graphs).filter((name) => name.startsWith("train"))).toEqual([]);
    const features = frozen.graphs.grad_features?.inputs.find(({ role }) => role === "features");
    expect(features?.shape[0]).toBe(2);
  });

  test.each<[Partial<SpecInput>, number, string]>([
    [{ batch_size: 10 }, 4, "the nearest that can: 8 or 12"],
    [{ batch_size: 3 }, 4, "the nearest that can: 4"],
    [{ batch_size: 12, accumulate: 3 }, 8, "the nearest that can: 24"],
    [{ batch_size: 30, accumulate: 3 }, 4, "the nearest that can: 24 or 36"],
  ])("%j is refused for %i processes, with sizes that go", (more, ranks, hint) => {
    const spec = resolveSpec({ tasks: ["a"], fcn: { layers: [4] }, imshape: [6, 6], ...more });
    const refusal = expect(() => compile(spec, numberedClasses({ a: 2 }), { ranks }));
    refusal.toThrow(MttcError);
    refusal.toThrow(new RegExp(`batch_size: .*cannot be shared equally by ${ranks} processes`));
    try {
      compile(spec, numberedClasses({ a: 2 }), { ranks });
    } catch (error) {
      expect((error as MttcError).faults).toMatchObject([
        { code: "E_CONFIG", at: { path: "batch_size" }, hint },
      ]);
    }
  });
});

describe("several processes compute what one does, on the float64 reference", () => {
  const NORMED: Partial<SpecInput> = {
    ...{ fcn: { layers: [4, "p"] }, shared_layers: [4, "r", "d"], task_layers: [3] },
    ...{ batchnorm: true, batch_size: 8, weight_decay: 0.01, optimizer: "momentum" },
  };

  test.each([
    ["cpu", 2, {}],
    ["cpu", 4, {}],
    ["cuda", 2, {}],
    ["cuda", 4, {}],
    ["cpu", 2, { batchnorm: false, task_weights: "adaptive" }],
    ["cpu", 8, { batchnorm: true }],
  ] as const)("for %s, %i processes: gradients and running statistics", (target, ranks, more) => {
    const spec = { ...NORMED, ...more } as Partial<SpecInput>;
    const single = compileExperiment(spec, CLASSES, undefined, target);
    const ranked = compileExperiment(spec, CLASSES, undefined, target, { ranks });
    const batch = randomBatch(single.bundle, `ranks ${ranks}`);
    const state = initialState(single.bundle);
    const expected = withRunner("the float64 reference", single, (run) => ({
      gradients: gradientsOf(run, single.bundle, state, batch),
      state: nextState(state, train(run, single.bundle, state, batch, RATE)),
    }));
    const statistics = single.bundle.manifest.state.filter(({ group }) => group === "statistic");
    expect(statistics.length).toBe(spec.batchnorm ? 12 : 0);
    for (const stage of ["grad/1-built", "grad/5-final"]) {
      const found = together(ranked, single, batch, stage, state);
      for (const [parameter, { data }] of expected.gradients) {
        const parts = found.map((outputs) => tensorOf(outputs, `next/accumulated/${parameter}`));
        expect(relativeDistance(sum(parts), data), parameter).toBeLessThan(SUM_ORDER_FLOAT64);
      }
      for (const { name } of statistics)
        for (const outputs of found) {
          const moved = tensorOf(outputs, `next/${name}`).data;
          expect(relativeDistance(moved, tensorOf(expected.state, name).data), name).toBeLessThan(
            SUM_ORDER_FLOAT64,
          );
        }
    }
  });
});
