// A whole training step on a device whose memory is not the host's: the state stays there for several steps
// in its two alternating sets, batches are copied to it, figures come back, and what is read at the end is
// what the CPU computes. WebGPU on SwiftShader stands in for CUDA.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pc from "picocolors";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { placementText } from "../../cli/placementText.ts";
import type { Terminal } from "../../cli/terminal.ts";
import type { Bundle } from "../../compiler/bundle/manifest.ts";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import type { TaskSums } from "../../compiler/tasks/report.ts";
import { OrtHost, type Provider } from "../../runtime/ort/ortHost.ts";
import { PROVIDER_NAMES } from "../../runtime/ort/provider.ts";
import { writeBundleDirectory } from "../../runtime/runs/bundleDirectory.ts";
import type { MicroBatch } from "../../runtime/train/microBatch.ts";
import { placeGraphs } from "../../runtime/train/placements.ts";
import { TrainingDevice } from "../../runtime/train/trainingDevice.ts";
import { compileExperiment, initialState, microBatches, randomBatch } from "../step/experiment.ts";
import { relativeDistance } from "../step/tensors.ts";
import { DEVICE_LOSS, DEVICE_STATE } from "../tolerances.ts";
import { HAS_STAND_IN, standInLibrary, useSwiftShader } from "./swiftShader.ts";

const CLASSES = { species: 3, colour: 2 };
const SPEC: Partial<SpecInput> = {
  fcn: { layers: [4, "p", 8] },
  imshape: [16, 16],
  batch_size: 2,
  optimizer: "momentum",
  task_layers: [4],
  batchnorm: true,
};
/** Small enough for software; with two micro-batches the gradients stay on the device, too. */
const IN_HALVES: Partial<SpecInput> = {
  fcn: { layers: [4] },
  imshape: [8, 8],
  batch_size: 4,
  accumulate: 2,
  optimizer: "momentum",
};
const TASK_WEIGHTS = new Map([
  ["species", 1],
  ["colour", 0.5],
]);
const STEPS = 4;
/** What WebGPU of ONNX Runtime 1.29 has no kernel for in this step, and why. */
const LEFT_TO_THE_CPU: Readonly<Record<string, string>> = {
  Add: "int64: the counter of steps",
  Equal: "int64: the classes of labels",
  GreaterOrEqual: "int64: which labels are there",
  LogSoftmax: "no kernel",
  MaxPool: "not with indices, and forced here, since it is taken nevertheless",
  Reshape: "int64 labels",
  "com.microsoft.FusedMatMul": "no kernel",
};

describe.runIf(HAS_STAND_IN)("training on WebGPU, in software", () => {
  let folder: string;
  beforeAll(async () => {
    useSwiftShader();
    folder = await mkdtemp(join(tmpdir(), "mttc-device-"));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  test.each([
    ["one batch a step, spelled for CUDA", SPEC, "cuda"],
    ["two micro-batches a step, spelled for the CPU", IN_HALVES, "cpu"],
  ] as const)("%s: state and losses are the CPU's", async (name, spec, target) => {
    const { bundle } = compileExperiment(spec, CLASSES, undefined, target);
    const onCpu = await train({ kind: "cpu" }, bundle, join(folder, `${name} on the CPU`));
    const cpuNodes = unrunnableNodes(bundle);
    const onDevice = await train({ kind: "webgpu", cpuNodes }, bundle, join(folder, name));
    for (const [step, tasks] of onDevice.losses.entries())
      for (const [task, { loss_sum: sum = Number.NaN, count, correct }] of tasks) {
        const expected = onCpu.losses[step]?.get(task);
        expect(Math.abs(sum - (expected?.loss_sum ?? Number.NaN))).toBeLessThan(DEVICE_LOSS);
        expect([count, correct]).toEqual([expected?.count, expected?.correct]);
      }
    expect(onDevice.state.size).toBeGreaterThan(10);
    for (const [name, { data }] of onDevice.state) {
      const expected = onCpu.state.get(name)?.data;
      if (data instanceof BigInt64Array) expect(data).toEqual(expected);
      else
        expect(
          relativeDistance(data as Float32Array, Float64Array.from(expected as Float32Array)),
          name,
        ).toBeLessThan(DEVICE_STATE);
    }
  });

  test("the CPU takes over what has no kernel, and nothing else", async () => {
    const { bundle } = compileExperiment(SPEC, CLASSES, undefined, "cuda");
    const cpuNodes = unrunnableNodes(bundle);
    const provider = { kind: "webgpu", cpuNodes } as const;
    await using host = await OrtHost.start({ provider, libraryPath: standInLibrary(), intraOpThreads: 1 });
    const placed = await placeGraphs(host, bundle);
    expect(placed.map(({ graph }) => graph)).toEqual(["train", "evaluate"]);
    const { nodes, fallen } = placed[0] ?? { nodes: [], fallen: [] };
    expect(nodes.length).toBeGreaterThan(100);
    expect([...new Set(fallen.map(({ operator }) => operator))].sort()).toEqual(Object.keys(LEFT_TO_THE_CPU));
    const onDevice = nodes.filter((node) => node.provider === PROVIDER_NAMES.webgpu);
    expect(onDevice.length).toBe(nodes.length - fallen.length);
    const terminal = { colours: pc.createColors(false), isTerminal: false } as Terminal;
    const text = placementText(placed, terminal);
    expect(text).toContain("  LogSoftmax  tasks.species.loss/LogSoftmax");
    expect(text).not.toContain("No node is left to the CPU.");
    const whole = placementText([{ graph: "train", nodes: onDevice, fallen: [] }], terminal);
    expect(whole).toContain("No node is left to the CPU.");
  });
});

/** Some steps; the state by copy at the end. */
async function train(provider: Provider, bundle: Bundle, directory: string) {
  await using host = await OrtHost.start({ provider, libraryPath: standInLibrary(), intraOpThreads: 1 });
  const manifest = await writeBundleDirectory(directory, bundle);
  await using device = await TrainingDevice.open(host, directory, manifest);
  const start = initialState(bundle);
  await device.writeState(
    new Map(
      [...start].map(([name, { dtype, data }]) => [
        name,
        dtype === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data),
      ]),
    ),
  );
  const losses: ReadonlyMap<string, TaskSums>[] = [];
  for (let step = 0; step < STEPS; step++) {
    const { accumulate } = manifest.spec;
    const parts = microBatches(randomBatch(bundle, `step ${step}`), accumulate).map(toMicroBatch);
    const counts = new Map(Object.keys(CLASSES).map((task) => [task, labelled(parts, task)]));
    const scalars = { learningRate: 0.05, taskWeights: TASK_WEIGHTS, counts };
    for (const [index, part] of parts.entries()) {
      // Where there is one, the next micro-batch goes to the device meanwhile.
      const { tasks, inputBuffers } = await device.microBatch(part, index, scalars, parts[index + 1]);
      const isStaged = device.stagesInputs && index > 0;
      const isStaging = device.stagesInputs && index + 1 < parts.length;
      expect(inputBuffers).toHaveLength(Number(!isStaged) + Number(isStaging));
      losses.push(tasks);
    }
    await device.finishStep(scalars);
  }
  return { losses, state: await device.readState() };
}

/** Nodes that WebGPU takes and cannot run: pooling with indices, batch norm in training form (ORT 1.29). */
function unrunnableNodes({ files }: Bundle): string[] {
  const graphs = [...files].flatMap(([file, bytes]) =>
    file.endsWith(".onnx") ? [decodeModelProto(bytes)] : [],
  );
  return graphs.flatMap(({ graph }) =>
    (graph?.node ?? []).flatMap(({ name, opType, output }) =>
      ["MaxPool", "BatchNormalization"].includes(opType ?? "") && (output ?? []).length > 1
        ? [name ?? ""]
        : [],
    ),
  );
}

function labelled(parts: readonly MicroBatch[], task: string): number {
  return parts.reduce(
    (sum, { labels }) => sum + (labels.get(task) ?? []).filter((label) => label >= 0n).length,
    0,
  );
}

function toMicroBatch(batch: ReturnType<typeof randomBatch>): MicroBatch {
  const named = (prefix: string) =>
    [...batch].flatMap(([name, { data }]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), data] as const] : [],
    );
  return {
    images: Uint8Array.from(batch.get("image")?.data ?? []),
    labels: new Map(named("label/").map(([task, data]) => [task, BigInt64Array.from(data, BigInt)])),
    masks: new Map(named("mask/").map(([name, data]) => [`mask/${name}`, Float32Array.from(data)])),
  };
}
