// What is there where a rank is lost in the middle of a step: no run of a step writes what the step before it
// has left.
import { expect, test } from "vitest";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import type { BindingSpec, HostTensor, OrtHost } from "../../runtime/ort/ortHost.ts";
import { TrainingDevice } from "../../runtime/train/trainingDevice.ts";
import { compileExperiment } from "../step/experiment.ts";

const CLASSES = { a: 2, b: 3 };
const ONES = new Map(Object.keys(CLASSES).map((task) => [task, 1]));
const SCALARS = { learningRate: 0.1, taskWeights: ONES, counts: ONES };

/** ONNX Runtime in which a tensor holds the number of the run that wrote it last. */
class CountingHost {
  readonly provider = { kind: "cpu" } as const;
  readonly #bound = new Map<string, BindingSpec>();
  readonly #writers = new Map<string, number>();
  runs = 0;
  /** The run that does not come back. */
  fails = Number.POSITIVE_INFINITY;

  openGraph = async () => undefined;
  allocate = async () => undefined;
  free = async () => undefined;
  bind = async (binding: string, _: string, io: BindingSpec) => void this.#bound.set(binding, io);
  step = async (binding: string) => {
    const run = this.runs++;
    // A lost run may have written some or all of what it writes.
    for (const id of Object.values(this.#bound.get(binding)!.outputs)) this.#writers.set(id, run);
    if (run === this.fails) throw new Error("lost");
    return { outputs: new Map(), runMs: 0, returned: [] };
  };
  read = async (ids: readonly string[]) =>
    new Map(
      ids.map((id): [string, HostTensor] => {
        const data = Float32Array.of(this.#writers.get(id) ?? -1);
        return [id, { dtype: "float32", shape: [], data }];
      }),
    );
}

async function openDevice(spec: Partial<SpecInput>, ranks: number) {
  const host = new CountingHost();
  const options = { batch_size: 8, ...spec };
  const { manifest } = compileExperiment(options, CLASSES, undefined, "cpu", { ranks }).bundle;
  const group = { size: ranks, tell: () => undefined, stepped: () => undefined };
  const device = await TrainingDevice.open(host as unknown as OrtHost, "", manifest, { group });
  const { accumulate, batchSize, preprocessing } = manifest;
  const rows = batchSize / accumulate / ranks;
  const step = async (): Promise<void> => {
    for (let i = 0; i < accumulate; i++) {
      const labels = new Map(Object.keys(CLASSES).map((task) => [task, new BigInt64Array(rows)]));
      const images = new Uint8Array(rows * preprocessing.height * preprocessing.width * 3);
      await device.microBatch({ images, labels, masks: new Map() }, i, SCALARS);
    }
    await device.finishStep(SCALARS);
  };
  return { host, device, step };
}

const numbersOf = (state: ReadonlyMap<string, HostTensor>) =>
  new Map([...state].map(([name, { data }]) => [name, Number(data[0])]));

test.each<[string, Partial<SpecInput>, number]>([
  ["grad, apply", {}, 2],
  ["grad, apply, with norms", { batchnorm: true }, 2],
  ["grad x 2, apply, with norms", { accumulate: 2, batchnorm: true }, 3],
  ["grad x 4, apply, with norms and averages", { accumulate: 4, batchnorm: true, ema: 0.9 }, 5],
  ["grad, apply, losses, factors", { combine: "famo", batchnorm: true }, 4],
  [
    "losses x 2, grad x 2, apply, losses x 2, factors",
    { accumulate: 2, combine: "famo", batchnorm: true },
    8,
  ],
])("a step of %s leaves what the step before it has left", async (_, spec, runs) => {
  // After an odd and an even number of steps, and after the first three of statistics' sets.
  for (const steps of [0, 1, 2, 3])
    for (let lost = 0; lost < runs; lost++) {
      const { host, device, step } = await openDevice(spec, 2);
      for (let done = 0; done < steps; done++) await step();
      expect(host.runs).toBe(steps * runs);
      const wanted = numbersOf(await device.readState());
      if (steps > 0) expect(Math.min(...wanted.values())).toBeGreaterThanOrEqual((steps - 1) * runs);
      host.fails = steps * runs + lost;
      await expect(step()).rejects.toThrow("lost");
      expect(numbersOf(await device.readLastStep()), `run ${lost} after ${steps} steps`).toEqual(wanted);
    }
});
