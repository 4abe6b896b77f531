// The compiled bundle on ONNX Runtime, driven as the trainer drives it, against float64 PyTorch over 50
// steps: every tensor within 1e-5 of its norm for nets without batch norm. With batch norm float32 itself
// wanders, as learned factors of losses do, so ORT is held to a multiple of the distance that PyTorch's own
// float32 run has.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { learningRateAt, scheduleOf } from "../../compiler/step/schedules.ts";
import { MISSING_TAG } from "../../compiler/tasks/missing.ts";
import type { LabelTensor } from "../../runtime/labels/taskLabels.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { writeBundleDirectory } from "../../runtime/runs/bundleDirectory.ts";
import { TrainingDevice } from "../../runtime/train/trainingDevice.ts";
import {
  fixtureClassWeights,
  readFixture,
  startOf,
  TRAINING_CASES,
  type TrainingFixture,
} from "../fixtures/training/readFixture.ts";
import { relativeDistance } from "../step/tensors.ts";
import { FLOAT32_GAP_FACTOR, FLOAT32_RUN, FLOAT32_STEP_LOSS } from "../tolerances.ts";
import { compileTraced } from "./tracedGraphs.ts";

/** Of a batch of the fixtures. */
const ROWS = 6;
let host: OrtHost;
let folder: string;

beforeAll(async () => {
  host = await OrtHost.start({ intraOpThreads: 2 });
  folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
});

afterAll(async () => {
  await host.close();
  await rm(folder, { recursive: true, force: true });
});

describe.each(TRAINING_CASES)("50 steps of %s on ONNX Runtime", (name) => {
  test("end at the weights, statistics and slots of PyTorch", async () => {
    const fixture = readFixture(name);
    const { device: opened, losses } = await trainOnOrt(name, fixture);
    await using device = opened;
    const state = await device.readState();
    // Made of differences of losses, which cancel.
    const made = device.manifest.state.filter(({ group }) => group === "factor");
    const factors = new Set(made.map(({ name }) => name));
    expect(fixture.final.size).toBeGreaterThan(10);
    for (const [key, { values }] of fixture.final) {
      const distance = relativeDistance(state.get(key)?.data as Float32Array | undefined, values);
      const own = relativeDistance(fixture.final32.get(key)?.values, values);
      const wanders = fixture.spec.batchnorm === true || factors.has(key);
      const bound = wanders ? Math.max(FLOAT32_RUN, FLOAT32_GAP_FACTOR * own) : FLOAT32_RUN;
      expect(distance, key).toBeLessThan(bound);
    }
    fixture.steps.forEach((step, i) => {
      for (const [task, loss] of step.losses)
        expect(Math.abs((losses[i]?.get(task) ?? Number.NaN) - loss)).toBeLessThan(FLOAT32_STEP_LOSS);
    });
  });
});

test("a step leaves the state that it reads as it was, batch-norm statistics too", async () => {
  // ORT's batch norm in training form writes into the running statistics that it is fed, unless the lowering
  // feeds it others: the set that a step reads must survive it, or alternating sets would not be two.
  const fixture = readFixture("batchnorm-adam");
  const { device: opened } = await trainOnOrt("untouched", fixture, 1);
  await using device = opened;
  const statistics = device.manifest.state.filter(({ group }) => group === "statistic");
  expect(statistics.length).toBeGreaterThan(4);
  const before = await host.read(device.manifest.state.map(({ name }) => `a:${name}`));
  const after = await device.readState();
  for (const { name } of device.manifest.state) {
    const start = fixture.init.get(name)?.values;
    if (start)
      expect(Array.from(before.get(`a:${name}`)?.data as Float32Array)).toEqual(
        Array.from(Float32Array.from(start)),
      );
  }
  for (const { name } of statistics) expect(after.get(name)?.data).not.toEqual(before.get(`a:${name}`)?.data);
});

async function trainOnOrt(name: string, fixture: TrainingFixture, steps = fixture.steps.length) {
  const spec = resolveSpec(fixture.spec as SpecInput);
  const initialValues = new Map(
    [...fixture.init].map(([key, { values }]) => [key, Float32Array.from(values)]),
  );
  const { bundle } = compileTraced(spec, fixture.tasks, { initialValues });
  const directory = join(folder, name);
  const device = await TrainingDevice.open(host, directory, await writeBundleDirectory(directory, bundle));
  const start = new Map<string, ArrayBufferView>(
    bundle.manifest.state.map(({ name: tensor, dtype, shape, of }) => {
      const count = shape.reduce((product, dim) => product * dim, 1);
      const zeros = dtype === "int64" ? new BigInt64Array(count) : new Float32Array(count);
      const started = startOf(fixture, tensor, of)?.values;
      return [tensor, started ? Float32Array.from(started) : zeros];
    }),
  );
  await device.writeState(start);
  const taskWeights = new Map(
    bundle.manifest.tasks.flatMap((task) =>
      task.weight === "adaptive" ? [] : [[task.name, task.weight] as const],
    ),
  );
  const losses: Map<string, number>[] = [];
  const schedule = scheduleOf(spec);
  for (const [place, step] of fixture.steps.slice(0, steps).entries()) {
    const learningRate = learningRateAt(schedule, place, fixture.steps.length);
    const counts = new Map([...step.labels].map(([task, labels]) => [task, labelledIn(labels, ROWS)]));
    const classWeights = fixtureClassWeights(fixture);
    const scalars = { learningRate, taskWeights, counts, classWeights };
    const batch = { images: step.image, labels: step.labels, masks: step.masks };
    const { tasks } = await device.microBatch(batch, 0, scalars);
    losses.push(
      new Map(
        [...tasks].map(([task, { loss_sum: sum = Number.NaN, count = 0 }]) => [
          task,
          sum / Math.max(count, 1),
        ]),
      ),
    );
  }
  return { device, losses };
}

function labelledIn(labels: LabelTensor, rows: number): number {
  const width = labels.length / rows;
  let count = 0;
  for (let row = 0; row < rows; row++) {
    const ofRow = labels.slice(row * width, (row + 1) * width);
    if (ofRow instanceof Uint8Array) count += Number(ofRow.some((flag) => flag !== MISSING_TAG));
    else if (ofRow instanceof Float32Array) count += Number(!ofRow.every(Number.isNaN));
    else count += Number(ofRow.every((label) => label >= 0n));
  }
  return count;
}
