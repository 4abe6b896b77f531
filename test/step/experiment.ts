// A training run in a test: the state of a bundle, batches of random images and labels, whole steps and steps
// in halves.
import { type Bundle, type Target, withRole } from "../../compiler/bundle/manifest.ts";
import { taskOfEntry } from "../../compiler/bundle/manifestTasks.ts";
import type { CompileOptions } from "../../compiler/compile.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { compileTraced, numberedClasses, type TracedBundle } from "../training/tracedGraphs.ts";
import type { GraphRunner, Tensors } from "./graphRunner.ts";

/** One logical batch, by input name of train.onnx: `image`, `label/<task>`, `mask/<layer>`. */
export type Batch = Tensors;

/**
 * Compiles a spec whose tasks have the given numbers of classes; `initial` overrides drawn start values, and
 * the target is the CPU unless said otherwise.
 */
export function compileExperiment(
  spec: Partial<SpecInput>,
  classes: Readonly<Record<string, number>>,
  initial?: ReadonlyMap<string, Float32Array>,
  target: Target = "cpu",
  more: CompileOptions = {},
): TracedBundle {
  const base = {
    fcn: { layers: [4, "p"] },
    train_fcn: true,
    task_layers: [],
    imshape: [6, 6],
    batch_size: 4,
  };
  const input = { ...base, tasks: Object.keys(classes), ...spec } as SpecInput;
  const options = { ...more, target, ...(initial ? { initialValues: initial } : {}) };
  return compileTraced(resolveSpec(input), numberedClasses(classes), options);
}

/** The state that training starts from. */
export function initialState({ state }: Bundle): Map<string, NDArray> {
  return new Map(
    [...state].map(([name, { dtype, shape, data }]) => {
      const buffer = data.slice().buffer;
      const numbers = dtype === "int64" ? new BigInt64Array(buffer) : new Float32Array(buffer);
      const values = Float64Array.from(numbers as ArrayLike<number | bigint>, Number);
      return [name, { dtype: dtype as NDArray["dtype"], shape, data: values }];
    }),
  );
}

/** A random batch with labels for three rows in four, at least one per task. */
export function randomBatch({ manifest }: Bundle, seed: string): Batch {
  const batch = new Map<string, NDArray>();
  for (const { name, dtype, shape } of manifest.graphs.train?.inputs ?? []) {
    const random = randomFrom(`${seed} ${name}`);
    const sizes = shape.map(Number);
    const count = sizes.reduce((product, dim) => product * dim, 1);
    const fill = (draw: (i: number) => number) =>
      batch.set(name, { dtype, shape: sizes, data: Float64Array.from({ length: count }, (_, i) => draw(i)) });
    const task = manifest.tasks.find((entry) => name === `label/${entry.name}`);
    if (name === "image") fill(() => Math.floor(256 * random()));
    else if (name.startsWith("mask/")) fill(() => (random() < 0.5 ? 0 : 2));
    else if (task)
      fill((i) => (i > 0 && random() < 0.25 ? -1 : Math.floor(taskOfEntry(task).width * random())));
  }
  return batch;
}

/** The batch with all labels of a task missing. */
export function withoutLabels(batch: Batch, task: string): Batch {
  const labels = batch.get(`label/${task}`);
  if (!labels) throw new Error(`no labels of ${task}`);
  return new Map(batch).set(`label/${task}`, { ...labels, data: labels.data.map(() => -1) });
}

/** Equal parts of a batch, in order. */
export function microBatches(batch: Batch, parts: number): Batch[] {
  return Array.from({ length: parts }, (_, part) => {
    const cut = ({ dtype, shape, data }: NDArray): NDArray => {
      const [rows = 1, ...rest] = shape;
      const size = data.length / parts;
      return { dtype, shape: [rows / parts, ...rest], data: data.slice(part * size, (part + 1) * size) };
    };
    return new Map([...batch].map(([name, array]) => [name, cut(array)]));
  });
}

/** Class weights of a task in these tests: 0.5, 1.5, 2.5 and so on. */
const weightOf = (label: number): number => 0.5 + label;

/**
 * Scalars of a step: learning rate, fixed task weights, 1 / labelled rows of the whole batch; with class
 * weights those too, and 1 / the sum of the rows' weights.
 */
function scalarsOf({ manifest }: Bundle, batch: Batch, learningRate: number): Map<string, NDArray> {
  const scalar = (value: number): NDArray => ({ dtype: "float32", shape: [], data: Float64Array.of(value) });
  const scalars = new Map([["learning_rate", scalar(learningRate)]]);
  const inputs = manifest.graphs.train?.inputs ?? [];
  for (const { name, weight } of manifest.tasks) {
    if (weight !== "adaptive") scalars.set(`task_weight/${name}`, scalar(weight));
    const weights = inputs.find((input) => input.name === `class_weight/${name}`);
    const data = Float64Array.from({ length: Number(weights?.shape[0] ?? 0) }, (_, label) => weightOf(label));
    if (weights) scalars.set(weights.name, { dtype: "float32", shape: [data.length], data });
    const labels = Array.from(batch.get(`label/${name}`)?.data ?? []).filter((label) => label >= 0);
    const count = labels.reduce((sum, label) => sum + (weights ? weightOf(label) : 1), 0);
    scalars.set(`inv_count/${name}`, scalar(count > 0 ? 1 / count : 0));
  }
  return scalars;
}

/** One step with train: all its outputs. */
export function train(run: GraphRunner, bundle: Bundle, state: Tensors, batch: Batch, learningRate: number) {
  return run("train", new Map([...state, ...batch, ...scalarsOf(bundle, batch, learningRate)]));
}

/** The state after a step, from the outputs of train or apply. */
export function nextState(state: Tensors, outputs: Tensors): Map<string, NDArray> {
  return new Map([...state].map(([name, old]) => [name, outputs.get(`next/${name}`) ?? old]));
}

/**
 * The accumulators after grad has seen the batch in `parts` micro-batches, by parameter (`<parameter>/tasks`
 * where they are by task): the batch's gradients.
 */
export function gradientsOf(
  run: GraphRunner,
  bundle: Bundle,
  state: Tensors,
  batch: Batch,
  parts = 1,
): Map<string, NDArray> {
  const scalars = scalarsOf(bundle, batch, 0);
  let sums: Tensors = new Map(
    accumulatorsOf(bundle).map(({ name, shape }) => {
      const count = shape.reduce((product, dim) => product * dim, 1);
      return [name, { dtype: "float32", shape, data: new Float64Array(count) }];
    }),
  );
  for (const micro of microBatches(batch, parts))
    sums = nextState(sums, run("grad", new Map([...state, ...micro, ...scalars, ...sums])));
  return new Map(accumulatorsOf(bundle).map(({ name }) => [ofAccumulator(name), tensorOf(sums, name)]));
}

/** `<parameter>`, or `<parameter>/tasks` where gradients are summed by task. */
function ofAccumulator(name: string): string {
  return name.replace(/^accumulated\//, "");
}

/**
 * All that grad takes beside rows of the batch; accumulators are zeros. `single` is the same model for one
 * process.
 */
export function gradFeeds(
  traced: TracedBundle,
  single: TracedBundle,
  batch: Batch,
  state: Tensors,
): Map<string, NDArray> {
  const sums = accumulatorsOf(traced.bundle).map(({ name, shape }): [string, NDArray] => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    return [name, { dtype: "float32", shape, data: new Float64Array(count) }];
  });
  return new Map([...state, ...scalarsOf(single.bundle, batch, 0), ...sums]);
}

/** What grad adds gradients to. */
export function accumulatorsOf({ manifest }: Bundle) {
  const entries = withRole(manifest.graphs.grad?.inputs ?? [], "accumulator");
  return entries.map(({ name, of, shape }) => ({ name, of, shape: shape.map(Number) }));
}

/** One step with grad, in `parts` micro-batches, and apply: the outputs of apply. */
export function gradAndApply(
  run: GraphRunner,
  bundle: Bundle,
  state: Tensors,
  batch: Batch,
  learningRate: number,
  parts = 1,
): Map<string, NDArray> {
  const gradients = gradientsOf(run, bundle, state, batch, parts);
  const sums = new Map([...gradients].map(([parameter, sum]) => [`accumulated/${parameter}`, sum]));
  return run("apply", new Map([...state, ...sums, ...scalarsOf(bundle, batch, learningRate)]));
}

/** The tensor of that name; an Error if there is none. */
export function tensorOf(tensors: Tensors, name: string): NDArray {
  const found = tensors.get(name);
  if (!found) throw new Error(`no tensor ${name}`);
  return found;
}
