// The facts that `inspect` shows, against figures worked out by hand.
import { expect, test } from "vitest";
import { peakActivationBytes } from "../../compiler/inspect/graphCosts.ts";
import { inspectModel, type ModelFacts } from "../../compiler/inspect/modelFacts.ts";
import { rankFacts } from "../../compiler/inspect/rankFacts.ts";
import { graphText, StageLog } from "../../compiler/inspect/stages.ts";
import { parseGraph } from "../../compiler/ir/print.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { faultsOf } from "../spec/faultsOf.ts";

const CLASSES = [
  { task: "a", classes: ["x", "y", "z"] },
  { task: "b", classes: ["x", "y"] },
];

const BASE: SpecInput = {
  tasks: ["a", "b"],
  fcn: { layers: [4, "p"] },
  train_fcn: true,
  shared_layers: [6, "d"],
  task_layers: [],
  imshape: [8, 8],
  batch_size: 2,
};

function facts(changes: Partial<SpecInput> = {}): ModelFacts {
  return inspectModel(resolveSpec({ ...BASE, ...changes }), CLASSES);
}

function part(found: ModelFacts, name: string): ModelFacts["parts"][number] | undefined {
  return found.parts.find((entry) => entry.part === name);
}

test("parameters and operations of each part are those of the formulas", () => {
  const found = facts();
  const trunk = 2 * 64 * 4 * 27;
  expect(part(found, "fcn")).toMatchObject({
    trained: 4 * 27 + 4,
    frozen: 0,
    forwardFlops: trunk,
    // Forward and the filters' gradient; the images need none.
    stepFlops: 2 * 2 * trunk,
  });
  const shared = 2 * 16 * 6 * 36;
  expect(part(found, "shared_layers")).toMatchObject({
    trained: 6 * 36 + 6,
    forwardFlops: shared,
    stepFlops: 2 * 3 * shared,
  });
  const dense = 2 * 6 * 3;
  expect(part(found, "tasks.a")).toMatchObject({
    trained: 18 + 3,
    forwardFlops: dense,
    stepFlops: 2 * 3 * dense,
  });
});

test("several processes exchange gradients once a step, and two vectors a norm each way", () => {
  const of = (changes: Partial<SpecInput>, ranks = 2) =>
    rankFacts(resolveSpec({ ...BASE, batch_size: 8, accumulate: 2, ...changes }), CLASSES, {}, ranks);
  const trained = 4 * 27 + 4 + (6 * 36 + 6) + (18 + 3) + (12 + 2);
  const plain = { ranks: 2, rows: 2, microBatches: 2, gradientBytes: 4 * trained, exchanges: 0 };
  expect(of({})).toMatchObject({ ...plain, exchangedBytes: 0, warnings: [] });
  // A norm has scale and bias and no bias of the convolution; of 4 and 6 channels, in two micro-batches.
  const norms = 2 * (4 + 6);
  const normed = 4 * (trained - 10 + norms);
  const exchanged = { exchanges: 2 * 2 * 2, exchangedBytes: 2 * 2 * 4 * norms };
  expect(of({ batchnorm: true })).toMatchObject({ ...plain, gradientBytes: normed, ...exchanged });
  // Without, the running statistics alone, all in one.
  const own = of({ batchnorm: true, sync_batchnorm: false });
  expect(own).toMatchObject({ exchanges: 2, exchangedBytes: 2 * 4 * norms });
  // A loss of each task in grad; where it comes in parts losses are summed between graphs, and the looks
  // before the update and after it ask for moments, one way.
  const famo = { combine: "famo", task_weights: null } as const;
  const tasks = Object.keys(CLASSES).length;
  expect(of({ ...famo, accumulate: 1 })).toMatchObject({ exchanges: 1, exchangedBytes: 4 * tasks });
  expect(of({ ...famo, batchnorm: true })).toMatchObject({
    ...{ exchanges: 2 * exchanged.exchanges, exchangedBytes: 2 * exchanged.exchangedBytes },
    gradientBytes: normed,
  });
  expect(own.warnings).toEqual([expect.stringMatching(/each process sees 2 images/)]);
  expect(() => of({}, 3)).toThrow(/cannot be shared equally by 3 processes and 2 micro-batches/);
});

test("combining gradients costs a backward pass of the shared part for each task, and their gradients", () => {
  const [plain, found] = [facts(), facts({ combine: "imtl" })];
  expect(plain.combine).toBeUndefined();
  const trunk = 2 * 2 * 64 * 4 * 27;
  const shared = 2 * 2 * 16 * 6 * 36;
  // Beside the sum's: a filters' gradient of each part, and the shared layer's input gradient, once more.
  for (const [name, more] of [
    ["fcn", trunk],
    ["shared_layers", 2 * shared],
  ] as const)
    expect((part(found, name)?.stepFlops ?? 0) - (part(plain, name)?.stepFlops ?? 0)).toBeGreaterThanOrEqual(
      more,
    );
  expect(part(found, "tasks.a")).toEqual(part(plain, "tasks.a"));
  const numbers = 4 * 27 + 4 + 6 * 36 + 6;
  const { stepFlops, sumFlops, ...rest } = found.combine ?? { stepFlops: 0, sumFlops: 1 };
  expect(rest).toEqual({
    ...{ method: "imtl", atFeatures: false, looks: 0, tasks: ["a", "b"], sharedNumbers: numbers },
    gradientBytes: 2 * 4 * numbers,
  });
  expect(stepFlops - sumFlops).toBeGreaterThanOrEqual(trunk + 2 * shared);
  const featured = facts({ combine: { method: "imtl", features: true } }).combine;
  expect(featured?.atFeatures).toBe(true);
  expect(featured?.stepFlops).toBeLessThan(stepFlops);
  expect(facts({ combine: "imtl", accumulate: 2 }).memory.accumulators).toBeGreaterThan(
    facts({ accumulate: 2 }).memory.accumulators,
  );
});

test("factors that a step learns cost a second forward pass, of what is trained", () => {
  for (const train_fcn of [true, false]) {
    const [plain, found] = [facts({ train_fcn }), facts({ train_fcn, combine: "famo" })];
    const forward = (name: string): number => 2 * (part(plain, name)?.forwardFlops ?? 0);
    const more = (name: string): number =>
      (part(found, name)?.stepFlops ?? 0) - (part(plain, name)?.stepFlops ?? 0);
    expect(forward("fcn")).toBeGreaterThan(0);
    expect(more("fcn")).toBe(train_fcn ? forward("fcn") : 0);
    for (const name of ["shared_layers", "tasks.a", "tasks.b"]) expect(more(name)).toBe(forward(name));
    const { stepFlops = 0, sumFlops = 0, ...rest } = found.combine ?? {};
    expect(rest).toEqual({
      ...{ method: "famo", atFeatures: false, looks: 1, tasks: ["a", "b"] },
      ...{ sharedNumbers: 0, gradientBytes: 0 },
    });
    expect(stepFlops).toBeGreaterThan(sumFlops);
    expect(found.reach).toEqual(plain.reach);
  }
});

test("in micro-batches they cost a pass before the gradients, too, and each pass is of all layers", () => {
  for (const train_fcn of [true, false]) {
    const parts = { train_fcn, accumulate: 2 };
    const [plain, found] = [facts(parts), facts({ ...parts, combine: "famo" })];
    const forward = ["fcn", "shared_layers", "tasks.a", "tasks.b"].reduce(
      (sum, name) => sum + 2 * (part(plain, name)?.forwardFlops ?? 0),
      0,
    );
    const { stepFlops = 0, sumFlops = 0, ...rest } = found.combine ?? {};
    expect(rest).toEqual({
      ...{ method: "famo", atFeatures: false, looks: 2, tasks: ["a", "b"] },
      ...{ sharedNumbers: 0, gradientBytes: 0 },
    });
    expect(stepFlops - sumFlops).toBeGreaterThanOrEqual(2 * forward);
    expect(stepFlops - sumFlops).toBeLessThan(3 * forward);
    // The table of parts has the same operations.
    expect(found.parts.reduce((sum, { stepFlops: ofPart }) => sum + ofPart, 0)).toBe(stepFlops);
    const more = (part(found, "fcn")?.stepFlops ?? 0) - (part(plain, "fcn")?.stepFlops ?? 0);
    expect(more).toBeGreaterThanOrEqual(2 * 2 * (part(plain, "fcn")?.forwardFlops ?? 0));
  }
});

test("a frozen trunk has no trained parameters, no backward pass, and no task's loss reaches it", () => {
  const found = facts({ train_fcn: false, batchnorm: true });
  const trunk = 2 * 64 * 4 * 27;
  expect(part(found, "fcn")).toMatchObject({
    trained: 0,
    frozen: 4 * 27 + 8,
    statistics: 8,
    stepFlops: 2 * trunk,
  });
  expect(found.reach.map(({ parts }) => parts)).toEqual([
    ["shared_layers", "tasks.a"],
    ["shared_layers", "tasks.b"],
  ]);
  expect(found.memory.constants).toBe(4 * (4 * 27 + 16));
  expect(found.warnings.join("\n")).toContain("frozen");
});

test("a task of weight 0 trains nothing", () => {
  const found = facts({ task_weights: [1, 0] });
  expect(found.reach.map(({ weight, parts }) => [weight, parts])).toEqual([
    [1, ["fcn", "shared_layers", "tasks.a"]],
    [0, []],
  ]);
});

test("each layer shows the shape of its result, a dropout that of its input", () => {
  expect(facts().layers.map(({ origin, shape }) => [origin, shape])).toEqual([
    ["fcn.layers[0]", [4, 8, 8]],
    ["fcn.layers[1]", [4, 4, 4]],
    ["shared_layers[0]", [6, 4, 4]],
    ["shared_layers[1]", [6, 4, 4]],
    ["tasks.a.dense", [3]],
    ["tasks.b.dense", [2]],
  ]);
});

test("state is weights and two adam slots each, and the step counter", () => {
  const weights = 4 * 27 + 4 + 6 * 36 + 6 + 18 + 3 + 12 + 2;
  expect(facts().memory.state).toBe(3 * 4 * weights + 8);
  expect(facts().memory.accumulators).toBe(0);
  expect(facts({ accumulate: 2 }).memory.accumulators).toBe(2 * 4 * weights);
});

test("the peak of a chain is the two values that are alive at once", () => {
  const graph = parseGraph(
    `graph t
%x: f32[100] = Input ; t
%a: f32[100] = Relu %x ; t
%b: f32[100] = Relu %a ; t
%c: f32[100] = Relu %b ; t
%d: f32[100] = Add %a, %c ; t
%e: f32[100] = Relu %d ; t
output y = %e
`,
    OPS,
  );
  // a, b and c while c is made; then a, c and d.
  expect(peakActivationBytes(graph)).toBe(3 * 400);
});

test("rows that only some images have count for all of them", () => {
  const graph = parseGraph(
    `graph t
%x: f32[100] = Input ; t
%i: i64[1,nonzero] = NonZero %x ; t
%c: f32[1,nonzero] = Cast %i {to="float32"} ; t
%d: f32[1,nonzero] = Relu %c ; t
%y: f32[] = ReduceSum %d ; t
output y = %y
`,
    OPS,
  );
  // The places (int64) and their cast, when all 100 numbers are not zero.
  expect(peakActivationBytes(graph)).toBe(100 * 8 + 100 * 4);
});

test("a task whose name holds dots is one part", () => {
  const partsOf = (task: string) => {
    const settings = { tasks: [task], fcn: { layers: [4] }, task_layers: [3], batch_size: 2 };
    const spec = resolveSpec({ ...settings, imshape: [8, 8], task_weights: "adaptive" });
    return inspectModel(spec, [{ task, classes: ["x", "y"] }]).parts;
  };
  const plain = partsOf("a");
  expect(plain.map(({ part: name }) => name)).toEqual(["fcn", "shared_layers", "tasks.a"]);
  for (const task of ["leaf.shape", "a.dense", "a.loss.b", "fcn", "a.log_variance"])
    expect(partsOf(task)).toEqual(
      plain.map((entry) => (entry.part === "tasks.a" ? { ...entry, part: `tasks.${task}` } : entry)),
    );
});

test("a stage is found by name or by its graph, and only lines of an origin are shown", () => {
  const log = new StageLog();
  const graph = parseGraph(
    `graph t
%x: f32[2] = Input ; image
%a: f32[2] = Relu %x ; fcn.layers[0]
output y = %a
`,
    OPS,
  );
  log.trace("t/1-built", graph);
  log.trace("t/5-final", graph);
  expect(log.find("t")).toBe(graph);
  expect(graphText(graph, "layers[0]")).toMatch(/^%a: f32\[2\] = Relu %x +; fcn\.layers\[0\]\n$/);
  expect(faultsOf(() => log.find("t/1-bilt"))[0]).toMatchObject({
    code: "E_USAGE",
    hint: 'did you mean "t/1-built"?',
  });
});
