// `npm run bench -- combine [network] [tasks]`: a training step of each method that combines gradients beside
// that of the sum, on the same network and batch: milliseconds, operations, and the memory of intermediate
// values as inspect estimates it. Blocks of steps alternate with the sum's. Each row is said as it is known;
// one to four minutes, by the network.
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import Table from "cli-table3";
import { GRADIENT_METHODS } from "../../compiler/combine/gradientMethods.ts";
import { compile } from "../../compiler/compile.ts";
import { inspectModel } from "../../compiler/inspect/modelFacts.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { writeBundleDirectory } from "../../runtime/runs/bundleDirectory.ts";
import { compileForHost } from "../../runtime/train/hostCompilation.ts";
import { stepDraws } from "../../runtime/train/microBatch.ts";
import { TrainingDevice } from "../../runtime/train/trainingDevice.ts";
import { median } from "../median.ts";

const BLOCKS = 3;
const BLOCK_STEPS = 3;
const CLASSES = 8;
const BATCH = 16;

/** Networks whose shared part is nearly all of it, by name. */
const NETS: Readonly<Record<string, Partial<SpecInput>>> = {
  small: { fcn: { layers: [16, "p", 32, "p"] }, shared_layers: [64, "p"], imshape: [64, 64] },
  deep: {
    fcn: { layers: [32, "p", 64, "r", "p", 128, "r", "p"] },
    shared_layers: [256, "r"],
    imshape: [96, 96],
    batchnorm: true,
  },
};

/** What is timed: `combine` as a spec writes it, and micro-batches, of the sum beside it too. */
const METHODS: readonly (readonly [string, SpecInput["combine"], accumulate: number])[] = [
  ["sum, measured", { method: "sum", measure: true }, 1],
  ...GRADIENT_METHODS.map(({ name }) => [name, name, 1] as const),
  ["mgda, features", { method: "mgda", features: true }, 1],
  ["famo", "famo", 1],
  ["famo, accumulate 2", "famo", 2],
];

interface Stepper extends AsyncDisposable {
  /** Milliseconds of one step. */
  readonly step: () => Promise<number>;
}

async function openStep(spec: Spec, classes: TaskClasses, folder: string, threads: number): Promise<Stepper> {
  const host = await OrtHost.start({ intraOpThreads: threads });
  const { bundle } = await compileForHost(host, (more) => compile(spec, classes, more));
  const device = await TrainingDevice.open(host, folder, await writeBundleDirectory(folder, bundle));
  await device.startFrom(bundle.state);
  const tasks = classes.map(({ task }) => task);
  const [height, width] = spec.imshape;
  const scalars = {
    ...{ learningRate: 1e-4, taskWeights: new Map(tasks.map((task) => [task, 1])) },
    counts: new Map(tasks.map((task) => [task, BATCH])),
    draws: stepDraws(bundle.manifest, 0, 0),
  };
  const step = async (): Promise<number> => {
    const rows = BATCH / spec.accumulate;
    const micros = Array.from({ length: spec.accumulate }, () => ({
      images: Uint8Array.from({ length: rows * height * width * 3 }, (_, i) => (i * 2654435761) >>> 24),
      labels: new Map(
        tasks.map((task, t) => [
          task,
          BigInt64Array.from({ length: rows }, (_, row) => BigInt((row * (t + 1)) % CLASSES)),
        ]),
      ),
      masks: new Map(),
    }));
    const began = performance.now();
    for (const [index, micro] of micros.entries()) await device.microBatch(micro, index, scalars);
    await device.finishStep(scalars);
    return performance.now() - began;
  };
  return {
    step,
    [Symbol.asyncDispose]: async () => {
      await device[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
    },
  };
}

async function blockOf(step: () => Promise<number>): Promise<number> {
  await step();
  const times: number[] = [];
  for (let i = 0; i < BLOCK_STEPS; i++) times.push(await step());
  return median(times);
}

/** Always true: there is no bound to hold. */
export async function compareCombiners([name = "small", count = "4"]: readonly string[]): Promise<boolean> {
  const net = NETS[name];
  if (!net || !(Number(count) >= 2)) {
    console.log(`expected one of ${Object.keys(NETS).join(", ")} and a number of tasks from 2 on`);
    return false;
  }
  const classes = Array.from({ length: Number(count) }, (_, t) => ({
    task: `task${t}`,
    classes: Array.from({ length: CLASSES }, (_, k) => String(k)),
  }));
  const specOf = (combine: SpecInput["combine"], accumulate: number): Spec =>
    resolveSpec({
      ...{ tasks: classes.map(({ task }) => task), fcn: { layers: [] }, train_fcn: true, task_layers: [] },
      ...{ batch_size: BATCH, ...net, combine, accumulate },
    });
  const folder = await mkdtemp(join(tmpdir(), "mttc-bench-"));
  const threads = availableParallelism();
  const columns = ["sum ms", "ms", "ratio", "FLOPs ratio", "gradients MB", "values MB"];
  const table = new Table({ head: [`${name}, ${count} tasks`, ...columns], style: { head: [] } });
  try {
    await using whole = await openStep(specOf("sum", 1), classes, join(folder, "sum"), threads);
    await using halves = await openStep(specOf("sum", 2), classes, join(folder, "sum in two"), threads);
    for (const [i, [label, combine, accumulate]] of METHODS.entries()) {
      const spec = specOf(combine, accumulate);
      const sum = accumulate === 1 ? whole : halves;
      await using own = await openStep(spec, classes, join(folder, String(i)), threads);
      const pairs: { readonly before: number; readonly now: number }[] = [];
      for (let block = 0; block < BLOCKS; block++)
        pairs.push({ before: await blockOf(sum.step), now: await blockOf(own.step) });
      const { combine: cost, memory } = inspectModel(spec, classes);
      const ratio = median(pairs.map(({ before, now }) => now / before)).toFixed(2);
      console.log(`${label}: ${ratio} times the sum's step`);
      table.push([
        label,
        median(pairs.map(({ before }) => before)).toFixed(1),
        median(pairs.map(({ now }) => now)).toFixed(1),
        ratio,
        ((cost?.stepFlops ?? 0) / (cost?.sumFlops ?? 1)).toFixed(2),
        ((cost?.gradientBytes ?? 0) / 1e6).toFixed(1),
        (memory.activations / 1e6).toFixed(1),
      ]);
    }
    console.log(table.toString());
    return true;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
