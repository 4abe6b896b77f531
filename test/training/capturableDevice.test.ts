// Which tensors a training device binds, writes and stages on a device with memory of its own, and when its
// steps are captured. ONNX Runtime is played by an object that writes down what it is asked.
import { describe, expect, test } from "vitest";
import { type Manifest, withRole } from "../../compiler/bundle/manifest.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import type { BindingSpec, OrtHost, SessionOptions, StepIo } from "../../runtime/ort/ortHost.ts";
import { transferableBuffers } from "../../runtime/threads/callProtocol.ts";
import type { MicroBatch, StepScalars } from "../../runtime/train/microBatch.ts";
import { TrainingDevice } from "../../runtime/train/trainingDevice.ts";
import { compileExperiment } from "../step/experiment.ts";

const CLASSES = { a: 2, b: 3 };
const SMALL: Partial<SpecInput> = { fcn: { layers: [4] }, imshape: [8, 8], batch_size: 4, batchnorm: true };
const ONES = new Map(Object.keys(CLASSES).map((task) => [task, 1]));
const SCALARS: StepScalars = { learningRate: 0.1, taskWeights: ONES, counts: ONES };

interface Ran {
  readonly binding: string;
  readonly io: BindingSpec;
  readonly writes: readonly string[];
  readonly staged: readonly string[];
  /** First byte of what the run reads as images, where it reads any. */
  readonly shows: number | undefined;
}

/** ONNX Runtime on a device that is none; it refuses to open `refused` as capturable. */
class RecordingHost {
  readonly provider = { kind: "cuda", device: 0, tf32: false } as const;
  readonly opened: (readonly [graph: string, capturable: boolean])[] = [];
  readonly bound = new Map<string, BindingSpec>();
  readonly runs: Ran[] = [];
  readonly tensors = new Set<string>();
  /** First bytes of the tensors that were written. */
  readonly #bytes = new Map<string, number>();
  readonly refused: string | undefined;

  constructor(refused?: string) {
    this.refused = refused;
  }

  openGraph = async (graph: string, _: unknown, { capturable = false }: SessionOptions) => {
    if (capturable && graph === this.refused)
      throw new MttcError({ code: "E_ORT", message: `${graph} has nodes on the CPU` });
    this.opened.push([graph, capturable]);
  };
  placements = async () => [];
  closeGraph = async () => undefined;
  allocate = async (buffers: readonly { readonly id: string }[]) => {
    for (const { id } of buffers) this.tensors.add(id);
  };
  free = async (ids: readonly string[]) => {
    for (const id of ids) expect(this.tensors.delete(id), id).toBe(true);
  };
  write = async () => undefined;
  unbind = async (binding: string) => void this.bound.delete(binding);
  bind = async (binding: string, _: string, io: BindingSpec) => {
    for (const id of [...Object.values(io.inputs), ...Object.values(io.outputs)])
      expect(this.tensors.has(id), id).toBe(true);
    this.bound.set(binding, io);
  };
  step = async (binding: string, { writes = {}, staged = {} }: StepIo) => {
    const io = this.bound.get(binding)!;
    const note = (data: Readonly<Record<string, ArrayBufferView>>) => {
      for (const [id, { buffer, byteOffset }] of Object.entries(data))
        this.#bytes.set(id, new Uint8Array(buffer, byteOffset)[0]!);
    };
    note(writes);
    const shows = this.#bytes.get(io.inputs.image ?? "");
    this.runs.push({ binding, io, writes: Object.keys(writes), staged: Object.keys(staged), shows });
    note(staged);
    // As a worker does, it takes the buffers away and gives them back.
    const given = transferableBuffers([writes, staged]);
    const returned = given.map((buffer) => structuredClone(buffer, { transfer: [buffer] }));
    return { outputs: new Map(), runMs: 0, returned };
  };
}

async function openDevice(spec: Partial<SpecInput>, refused?: string) {
  const { bundle } = compileExperiment({ ...SMALL, ...spec }, CLASSES);
  const host = new RecordingHost(refused);
  const { manifest } = bundle;
  const options = { capturable: true };
  const device = await TrainingDevice.open(host as unknown as OrtHost, "", manifest, options);
  return { host, device, manifest };
}

function batch(manifest: Manifest, number: number): MicroBatch {
  const rows = manifest.spec.batch_size / manifest.spec.accumulate;
  const labels = new Map(Object.keys(CLASSES).map((task) => [task, new BigInt64Array(rows)]));
  return { images: new Uint8Array(rows * 8 * 8 * 3).fill(number), labels, masks: new Map() };
}

/** Steps on one micro-batch after the other, each given its next one. */
async function train(device: TrainingDevice, manifest: Manifest, steps: number): Promise<number[]> {
  const returned: number[] = [];
  let next = batch(manifest, 0);
  for (let step = 0; step < steps; step++) {
    for (let micro = 0; micro < manifest.spec.accumulate; micro++) {
      const present = next;
      next = batch(manifest, step + 1);
      const { inputBuffers } = await device.microBatch(present, micro, SCALARS, next);
      returned.push(inputBuffers.length);
    }
    await device.finishStep(SCALARS);
  }
  return returned;
}

/** Of the state: what a step writes is what the next one reads. */
function expectPingPong(runs: readonly Ran[], state: string): void {
  for (const [i, { io }] of runs.slice(1).entries())
    expect(io.inputs[state]).toBe(runs[i]?.io.outputs[`next/${state}`]);
}

describe("a training device with memory of its own", () => {
  test("alternates state and inputs, and stages where the next step reads", async () => {
    const { host, device, manifest } = await openDevice({});
    device.captures = true;
    expect(await train(device, manifest, 6)).toEqual([2, 1, 1, 1, 1, 1]);
    const { runs } = host;
    for (const { name } of manifest.state) expectPingPong(runs, name);
    for (const [i, { io, staged, writes }] of runs.entries()) {
      const image = io.inputs.image ?? "";
      expect(staged).not.toContain(image);
      expect(writes.includes(image)).toBe(i === 0);
      expect(writes).toContain("learning_rate");
      const upcoming = runs[i + 1]?.io.inputs;
      if (upcoming) expect(staged).toEqual(expect.arrayContaining([upcoming.image, upcoming["label/a"]]));
    }
    expect(new Set(runs.map(({ binding }) => binding)).size).toBe(2);
    expect(runs.every(({ io }) => io.captures)).toBe(true);
  });

  test("in micro-batches meets all its bindings within two steps", async () => {
    for (const accumulate of [2, 4]) {
      const { host, device, manifest } = await openDevice({ accumulate });
      device.captures = true;
      await train(device, manifest, 2);
      const met = new Set(host.runs.map(({ binding }) => binding));
      await train(device, manifest, 6);
      expect(new Set(host.runs.map(({ binding }) => binding))).toEqual(met);
      const grads = host.runs.filter(({ binding }) => binding.startsWith("grad"));
      const [first] = withRole(manifest.graphs.grad?.inputs ?? [], "accumulator");
      expect(grads[0]?.io.inputs[first!.name]).toBe(`zero:${first!.name}`);
      expectPingPong(grads.slice(0, accumulate), first!.name);
    }
  });

  test("in rounds over micro-batches shows each round the same, and stages within it", async () => {
    for (const accumulate of [2, 3, 4]) {
      const famo = { combine: "famo", accumulate, batch_size: 12 } as const;
      const { host, device, manifest } = await openDevice(famo);
      device.captures = true;
      await train(device, manifest, 2);
      const met = new Set(host.runs.map(({ binding }) => binding));
      for (let step = 0; step < 3; step++) {
        host.runs.length = 0;
        const images = Array.from({ length: accumulate }, (_, i) => batch(manifest, 10 * (step + 1) + i));
        for (const [i, image] of images.entries())
          await device.microBatch(image, i, SCALARS, images[i + 1] ?? batch(manifest, 99));
        await device.finishStep(SCALARS);
        const graphs = host.runs.map(({ binding }) => binding.replace(/:.*/, ""));
        const round = (graph: string): string[] => Array.from({ length: accumulate }, () => graph);
        expect(graphs).toEqual([
          ...round("losses"),
          ...round("grad"),
          "apply",
          ...round("losses"),
          "factors",
        ]);
        const wanted = Array.from({ length: accumulate }, (_, i) => 10 * (step + 1) + i);
        const rounds = host.runs.filter(({ io }) => io.inputs.image !== undefined);
        expect(rounds.map(({ shows }) => shows)).toEqual([...wanted, ...wanted, ...wanted]);
        for (const [i, { staged, io }] of rounds.entries()) {
          const isLast = i % accumulate === accumulate - 1;
          expect(staged.includes(rounds[i + 1]?.io.inputs.image ?? "")).toBe(!isLast);
          expect(staged).not.toContain(io.inputs.image);
        }
        const [apply, factors] = ["apply", "factors"].map((graph) => host.runs[graphs.indexOf(graph)]!.io);
        const [before, after] = [host.runs[0]!.io, host.runs.at(-2)!.io];
        // Sums begin at zeros in both looks; what ends the step reads the last one, and the gradients' own.
        for (const look of [before, host.runs[2 * accumulate + 1]!.io])
          expect(look.inputs.losses).toBe("zero:losses");
        expect(factors!.inputs.losses).toBe(after.outputs["next/losses"]);
        const grads = rounds.slice(accumulate, 2 * accumulate);
        for (const { io } of grads)
          expect(io.inputs.losses).toBe(rounds[accumulate - 1]!.io.outputs["next/losses"]);
        const sum = "accumulated/losses";
        expect(factors!.inputs[sum]).toBe(grads.at(-1)!.io.outputs[`next/${sum}`]);
        expect(factors!.inputs["optimizer.step"]).toBe(apply!.outputs["next/optimizer.step"]);
        expect(after.inputs["fcn.layers[0].kernel"]).toBe(apply!.outputs["next/fcn.layers[0].kernel"]);
      }
      expect(new Set([...met, ...host.runs.map(({ binding }) => binding)])).toEqual(met);
    }
  });

  test("that gives capturing up opens its graphs anew, plain", async () => {
    const { host, device, manifest } = await openDevice({ accumulate: 2 });
    expect(host.opened).toEqual([
      ["grad", true],
      ["apply", true],
      ["evaluate", false],
    ]);
    device.captures = true;
    await train(device, manifest, 1);
    await device.giveUpCapture();
    expect(host.opened.slice(3)).toEqual([
      ["grad", false],
      ["apply", false],
    ]);
    expect(device.awaitsProof).toBe(false);
    await train(device, manifest, 1);
    expect(host.runs.slice(-3).every(({ io }) => io.captures === false)).toBe(true);
  });

  test("that goes over to features is to be proved anew, and not for the faults of images", async () => {
    const { host, device } = await openDevice({ train_fcn: false, shared_layers: [4] }, "train");
    expect(device.captureFault?.message).toContain("train has nodes on the CPU");
    expect(host.tensors.has("a:image")).toBe(true);
    await device.useFeatures();
    expect(host.tensors.has("a:image")).toBe(false);
    expect(device.captureFault).toBeUndefined();
    expect(host.opened).toContainEqual(["train_features", true]);
    expect(device.awaitsProof).toBe(true);
    device.captures = true;
    const other = await openDevice({ train_fcn: false, shared_layers: [4] }, "train_features");
    other.device.captures = true;
    await other.device.useFeatures();
    expect([other.device.captures, other.device.awaitsProof]).toEqual([false, true]);
    expect(other.device.captureFault?.message).toContain("train_features has nodes on the CPU");
  });
});
