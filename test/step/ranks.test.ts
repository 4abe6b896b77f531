// Several processes that train one model, each on its share of the rows: what compile() makes for them, and
// that together they compute what one process does.
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import {
  accumulates,
  BUNDLE_VERSION,
  microBatchRows,
  RANKED_VERSION,
} from "../../compiler/bundle/manifest.ts";
import { compile } from "../../compiler/compile.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret, interpretTogether } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Value } from "../../compiler/ir/types.ts";
import { range } from "../../compiler/ops/axes.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import { parseManifest } from "../../runtime/runs/manifestReading.ts";
import { countedTasks } from "../../runtime/train/microBatch.ts";
import { stepGraphs } from "../../runtime/train/stepRounds.ts";
import { assertClose } from "../assertClose.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { GRADIENT_CHECK, SUM_ORDER_FLOAT64 } from "../tolerances.ts";
import { compileTraced, numberedClasses, type TracedBundle } from "../training/tracedGraphs.ts";
import {
  type Batch,
  compileExperiment,
  gradFeeds,
  gradientsOf,
  initialState,
  microBatches,
  nextState,
  randomBatch,
  tensorOf,
  train,
} from "./experiment.ts";
import { type Tensors, withRunner } from "./graphRunner.ts";
import { randomFeeds } from "./randomFeeds.ts";
import { runTogether, sumOfArrays } from "./rankedSteps.ts";
import { relativeDistance, sameBits } from "./tensors.ts";

const CLASSES = { a: 3, b: 2 };
const RATE = 0.01;

type Feeds = Map<string, NDArray>;

/** What the processes give together, each from its rows of the batch: outputs of grad by rank. */
function together(ranked: TracedBundle, single: TracedBundle, batch: Batch, stage: string, state: Tensors) {
  return runTogether(ranked, stage, batch, gradFeeds(ranked, single, batch, state));
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
    expect([stepGraphs(whole, "image"), accumulates(whole)]).toEqual([["grad", "apply"], true]);
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

  test.each(["upgrad", "pcgrad"])("%s at the features is refused, and by task is not", (method) => {
    const specOf = (features: boolean) =>
      resolveSpec({
        ...{ tasks: ["a", "b"], fcn: { layers: [4] }, train_fcn: true, imshape: [8, 8], batch_size: 8 },
        combine: { method, features },
      } as SpecInput);
    const classes = numberedClasses(CLASSES);
    expect(() => compile(specOf(true), classes, { ranks: 1 })).not.toThrow();
    expect(() => compile(specOf(false), classes, { ranks: 2 })).not.toThrow();
    const [fault] = faultsOf(() => compile(specOf(true), classes, { ranks: 2 }));
    expect(fault).toMatchObject({ code: "E_CONFIG", at: { path: "combine.features" } });
    expect(fault?.message).toMatch(/each of 2 processes would weigh its own gradient/);
    expect(fault?.hint).toBe("take the line out: gradients by task add up over processes exactly");
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
        expect(relativeDistance(sumOfArrays(parts), data), parameter).toBeLessThan(SUM_ORDER_FLOAT64);
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

describe("without sync_batchnorm each process normalises by its own images", () => {
  const spec: Partial<SpecInput> = {
    batchnorm: true,
    batch_size: 8,
    sync_batchnorm: false,
    shared_layers: [3],
  };
  const RANKS = 4;

  test("as micro-batches are normalised, and running statistics go towards the mean of all", () => {
    const single = compileExperiment(spec, CLASSES);
    // The same, but for the number of rows that grad takes at once.
    const parts = compileExperiment({ ...spec, accumulate: RANKS }, CLASSES);
    const ranked = compileExperiment(spec, CLASSES, undefined, "cpu", { ranks: RANKS });
    const batch = randomBatch(single.bundle, "own norms");
    const state = initialState(single.bundle);
    const expected = withRunner("the float64 reference", parts, (run) =>
      gradientsOf(run, parts.bundle, state, batch, RANKS),
    );
    const found = together(ranked, single, batch, "grad/5-final", state);
    for (const [parameter, { data }] of expected) {
      const sums = found.map((outputs) => tensorOf(outputs, `next/accumulated/${parameter}`));
      expect(relativeDistance(sumOfArrays(sums), data), parameter).toBeLessThan(SUM_ORDER_FLOAT64);
    }
    const alone = microBatches(batch, RANKS).map((rows) => {
      const feeds = gradFeeds(parts, single, batch, state);
      return interpret(parts.stages.get("grad/5-final")!, new Map([...feeds, ...rows]));
    });
    const statistics = single.bundle.manifest.state.filter(({ group }) => group === "statistic");
    expect(statistics.length).toBe(4);
    for (const { name } of statistics) {
      const mean = sumOfArrays(alone.map((outputs) => tensorOf(outputs, `next/${name}`))).map(
        (value) => value / RANKS,
      );
      for (const outputs of found)
        expect(relativeDistance(tensorOf(outputs, `next/${name}`).data, mean)).toBeLessThan(
          SUM_ORDER_FLOAT64,
        );
    }
  });
});

test("where one process overflows in float16, all leave their running statistics as they were", () => {
  const spec: Partial<SpecInput> = { batchnorm: true, batch_size: 4, precision: "fp16" };
  const single = compileExperiment(spec, CLASSES, undefined, "cuda");
  const ranked = compileExperiment(spec, CLASSES, undefined, "cuda", { ranks: 2 });
  const gathers = ranked.stages.get("grad/5-final")!.nodes.filter(({ op }) => op.name === "AllGather");
  expect(gathers.map(({ inputs }) => inputs[0]?.type.dtype)).toEqual(["float32", "float32", "float32"]);
  const state = initialState(single.bundle);
  const [name] = single.bundle.manifest.state.flatMap(({ group, name }) =>
    group === "statistic" ? [name] : [],
  );
  const moves = (batch: Batch) =>
    together(ranked, single, batch, "grad/5-final", state).map(
      (outputs) => !sameBits(tensorOf(outputs, `next/${name}`), state.get(name!)),
    );
  const batch = randomBatch(single.bundle, "overflow");
  expect(moves(batch)).toEqual([true, true]);
  const weights = state.get("tasks.a.dense.kernel")!;
  state.set("tasks.a.dense.kernel", { ...weights, data: weights.data.map(() => Number.POSITIVE_INFINITY) });
  // The second process has no label of that task: its own gradients are finite.
  const labels = batch.get("label/a")!;
  const half = labels.data.map((label, i) => (i < labels.data.length / 2 ? Math.max(label, 0) : -1));
  expect(moves(new Map(batch).set("label/a", { ...labels, data: half }))).toEqual([false, false]);
});

test("derivatives through norms of two processes agree with central differences of both their losses", () => {
  const b = new GraphBuilder("two norms", OPS);
  const x = b.input("x", "float32", [2, 3, 2, 2]);
  const [scale, bias] = [b.input("scale", "float32", [3]), b.input("bias", "float32", [3])];
  const [y, mean, variance] = b.emitAll("BatchNormTraining", [x, scale, bias], { ranks: 2 }, 3) as [
    Value,
    Value,
    Value,
  ];
  const weighted = (value: Value, name: string): Value => {
    const product = b.mul(value, b.input(name, "float32", value.type.shape));
    return b.reduceSum(product, range(value.type.shape.length), 0);
  };
  // A loss that reads the statistics too.
  const terms = [weighted(b.mul(y, y), "wy"), weighted(mean, "wm"), weighted(variance, "wv")] as const;
  const loss = b.add(b.add(terms[0], terms[1]), terms[2]);
  const gradients = appendGradients(b, loss, [x, scale, bias]);
  b.output("loss", loss);
  for (const value of [x, scale, bias]) b.output(`d${value.name}`, gradients.get(value)!);
  const graph = b.build();
  const [first, second] = ["rank 0", "rank 1"].map((seed) => randomFeeds(graph, seed)) as [Feeds, Feeds];
  for (const name of ["scale", "bias"]) second.set(name, first.get(name)!);
  const found = interpretTogether(graph, [first, second]);
  const total = (feeds: readonly Feeds[]): number =>
    interpretTogether(graph, feeds).reduce((all, outputs) => all + outputs.get("loss")!.data[0]!, 0);
  const moved = (feeds: Feeds, name: string, i: number, by: number): Feeds => {
    const { data, ...type } = feeds.get(name)!;
    return new Map(feeds).set(name, { ...type, data: data.with(i, data[i]! + by) });
  };
  const h = 1e-5;
  const slope = (move: (by: number) => readonly Feeds[]): number =>
    (total(move(h)) - total(move(-h))) / (2 * h);
  for (let i = 0; i < 24; i++) {
    const [ofFirst, ofSecond] = [
      slope((by) => [moved(first, "x", i, by), second]),
      slope((by) => [first, moved(second, "x", i, by)]),
    ];
    const own = found.map((outputs) => outputs.get("dx")!.data[i]!);
    assertClose(own, [ofFirst, ofSecond], { tolerance: GRADIENT_CHECK, what: `dx ${i}` });
  }
  for (const name of ["scale", "bias"])
    for (let i = 0; i < 3; i++) {
      const both = slope((by) => [moved(first, name, i, by), moved(second, name, i, by)]);
      const summed = found.reduce((all, outputs) => all + outputs.get(`d${name}`)!.data[i]!, 0);
      assertClose([summed], [both], { tolerance: GRADIENT_CHECK, what: `d${name} ${i}` });
    }
});

test("trained norms of an imported network ask the other processes too, frozen ones nobody", async () => {
  const path = resolve("test/fixtures/import/residual-17-training.onnx");
  const exchanges = async (batchnorm: "train" | "frozen") => {
    const fcn = { path, batchnorm };
    const spec = resolveSpec({ tasks: ["a"], fcn, train_fcn: true, imshape: [32, 32], batch_size: 4 });
    const classes = numberedClasses({ a: 2 });
    const models = await readForeignModels(spec, ".", classes);
    const { stages } = compileTraced(spec, classes, { ...models, ranks: 2 });
    const built = stages
      .get("grad/1-built")!
      .nodes.filter(({ op }) => op.name.startsWith("BatchNormTraining"));
    const gathers = stages.get("grad/5-final")!.nodes.filter(({ op }) => op.traits.includes("collective"));
    return [built.map(({ attrs }) => attrs.ranks), gathers.length];
  };
  expect(await exchanges("train")).toEqual([[2, 2, 2, 2], 4]);
  expect(await exchanges("frozen")).toEqual([[], 0]);
});
