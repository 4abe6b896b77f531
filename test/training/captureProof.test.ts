// Captured steps are used only where the device showed that they do what plain ones do. A device in
// JavaScript stands in: its state is a number to which each step adds the batch's label and its rate.
import { expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { type CapturingDevice, type ProofStep, proveCapture } from "../../runtime/train/captureProof.ts";

/** What a captured step adds in place of `plain`. */
type Fault = (plain: number, step: number) => number;

class FakeDevice implements CapturingDevice {
  captures = false;
  captureFault: MttcError | undefined;
  givenUp = 0;
  weight = 5;
  steps = 0;
  captured = 0;
  noise: () => number = () => 0;
  fault: Fault = (plain) => plain;
  readonly #seen = new Set<unknown>();

  async readState() {
    return new Map([["w", { dtype: "float32" as const, shape: [1], data: Float32Array.of(this.weight) }]]);
  }
  async writeState(tensors: ReadonlyMap<string, ArrayBufferView>) {
    this.weight = (tensors.get("w") as Float32Array)[0] ?? Number.NaN;
    this.steps = 0;
  }
  async microBatch(batch: ProofStep["micros"][number], _: number, scalars: ProofStep["scalars"]) {
    // A batch that was given before would be empty by now.
    expect(this.#seen.has(batch)).toBe(false);
    this.#seen.add(batch);
    const label = Number(batch.labels.get("a")?.[0]);
    const plain = label * scalars.learningRate + this.noise();
    if (this.captures) this.captured++;
    this.weight += this.captures ? this.fault(plain, this.steps) : plain;
    this.steps++;
    const tasks = new Map([["a", { lossSum: this.weight, count: 1, correct: 0 }]]);
    return { tasks, inputBuffers: [], runMs: 0 };
  }
  finishStep = () => Promise.resolve(0);
  giveUpCapture = () => {
    this.givenUp++;
    return Promise.resolve();
  };
}

const BATCHES: readonly ProofStep[] = [1n, 3n].map((label) => ({
  micros: [
    { images: new Uint8Array(1), labels: new Map([["a", BigInt64Array.of(label)]]), masks: new Map() },
  ],
  scalars: { learningRate: 0.5, taskWeights: new Map(), counts: new Map() },
}));

async function prove(change: (device: FakeDevice) => void) {
  const device = new FakeDevice();
  change(device);
  const line = await proveCapture(device, BATCHES);
  expect(device.weight).toBe(5);
  expect(device.givenUp).toBe(device.captures ? 0 : 1);
  return { device, line };
}

test("equal steps: capturing, and the state is what it was", async () => {
  const { device, line } = await prove(() => undefined);
  expect(line).toBe("CUDA graphs: on; 8 captured steps gave the numbers of plain ones, to the bit");
  expect([device.captures, device.captured]).toEqual([true, 8]);
});

test("steps that differ no more than plain ones do: capturing", async () => {
  let draws = 0;
  const { device, line } = await prove((each) => {
    each.noise = () => 1e-6 * (draws++ % 7);
  });
  expect(device.captures).toBe(true);
  expect(line).toMatch(/^CUDA graphs: on; 8 captured steps came within .*e-7 of plain ones, which differ by/);
});

test.each<[string, Fault]>([
  ["a batch of long ago", () => 0.5],
  ["the last step not replayed", (plain, step) => (step === 7 ? 0 : plain)],
  ["no number", (plain, step) => (step === 3 ? Number.NaN : plain)],
  ["one bit", (plain, step) => (step === 5 ? plain * (1 + 2 ** -20) : plain)],
])("a replay of something else is not used: %s", async (_, fault) => {
  const { device, line } = await prove((each) => {
    each.fault = fault;
  });
  expect(device.captures).toBe(false);
  expect(line).toMatch(/^CUDA graphs: off: captured steps differ from plain ones by /);
});

test("steps that change nothing prove nothing", async () => {
  const { device, line } = await prove((each) => {
    each.noise = () => 0;
    each.microBatch = () => Promise.resolve({ tasks: new Map(), inputBuffers: [], runMs: 0 });
  });
  expect(device.captures).toBe(false);
  expect(line).toContain("none of 8 steps changed anything");
});

test("what ONNX Runtime refuses is the reason", async () => {
  const refused = new MttcError({ code: "E_ORT", message: "nodes on the CPU" });
  const opening = await prove((each) => {
    each.captureFault = refused;
  });
  expect(opening.line).toBe("CUDA graphs: off: nodes on the CPU");
  const running = await prove((each) => {
    each.fault = () => {
      throw refused;
    };
  });
  expect(running.line).toBe("CUDA graphs: off: nodes on the CPU");
  const failure = new Error("not mttc's");
  const device = new FakeDevice();
  device.fault = () => {
    throw failure;
  };
  await expect(proveCapture(device, BATCHES)).rejects.toBe(failure);
});
