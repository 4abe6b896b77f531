// Captured steps are used only where the device showed that they do what plain ones do. A device in
// JavaScript stands in: its state is a weight to which each step adds the batch's label times the rate, a
// second weight, a counter of steps and a loss scale.
import { describe, expect, test } from "vitest";
import type { StateEntry } from "../../compiler/bundle/manifest.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { HostTensor } from "../../runtime/ort/ortHost.ts";
import { type CapturingDevice, type ProofStep, proveCapture } from "../../runtime/train/captureProof.ts";

interface Numbers {
  weight: number;
  other: number;
  step: bigint;
  scale: number;
}

/** What a step makes of the state; `plain` is what a plain one makes of it. */
type Change = (before: Numbers, plain: Numbers, run: number) => Numbers;

const ENTRIES: readonly StateEntry[] = [
  { name: "weight", dtype: "float32", shape: [1], group: "parameter", part: "fcn" },
  { name: "other", dtype: "float32", shape: [1], group: "parameter", part: "fcn" },
  { name: "step", dtype: "int64", shape: [], group: "counter", part: "optimizer" },
  { name: "scale", dtype: "float32", shape: [], group: "loss_scale", part: "optimizer" },
];
const START: Numbers = { weight: 5, other: 7, step: 3n, scale: 1024 };

class FakeDevice implements CapturingDevice {
  readonly manifest = { state: ENTRIES };
  captures = false;
  captureFault: MttcError | undefined;
  givenUp = 0;
  captured = 0;
  now: Numbers = { ...START };
  /** What becomes of a plain step, by its number. */
  plainly: Change = (_, plain) => plain;
  /** What becomes of a captured one in place of that. */
  capturing: Change = (_, plain) => plain;
  #plainRuns = 0;
  #staged: unknown;
  readonly #seen = new Set<unknown>();

  readState = async () => {
    const tensor = (dtype: HostTensor["dtype"], data: HostTensor["data"]) => ({ dtype, shape: [1], data });
    return new Map<string, HostTensor>([
      ["weight", tensor("float32", Float32Array.of(this.now.weight))],
      ["other", tensor("float32", Float32Array.of(this.now.other))],
      ["step", tensor("int64", BigInt64Array.of(this.now.step))],
      ["scale", tensor("float32", Float32Array.of(this.now.scale))],
    ]);
  };
  writeState = async (tensors: ReadonlyMap<string, ArrayBufferView>) => {
    const first = (name: string) => (tensors.get(name) as Float32Array)[0] ?? Number.NaN;
    const [weight, other, scale] = ["weight", "other", "scale"].map(first) as [number, number, number];
    this.now = { weight, other, step: (tensors.get("step") as BigInt64Array)[0] ?? 0n, scale };
  };
  microBatch: CapturingDevice["microBatch"] = async (batch, _, scalars, following) => {
    // A batch that was given before would be empty by now, and one that was staged must be the next one.
    expect(this.#seen.has(batch)).toBe(false);
    this.#seen.add(batch);
    if (this.#staged !== undefined) expect(batch).toBe(this.#staged);
    this.#staged = following;
    const before = this.now;
    const change = Number(batch.labels.get("a")?.[0]) * scalars.learningRate;
    const { weight, other, step } = before;
    const next = { ...before, weight: weight + change, other: other - change, step: step + 1n };
    const plain = this.captures ? next : this.plainly(before, next, this.#plainRuns++);
    if (this.captures) this.captured++;
    this.now = this.captures ? this.capturing(before, plain, this.captured) : plain;
    return {
      tasks: new Map([["a", { loss_sum: weight, count: 1, correct: 0 }]]),
      inputBuffers: [],
      runMs: 0,
    };
  };
  finishStep = () => Promise.resolve({});
  giveUpCapture = async () => {
    this.givenUp++;
    this.captures = false;
  };
}

const BATCHES: readonly ProofStep[] = [1n, 3n].map((label) => ({
  micros: [
    { images: new Uint8Array(1), labels: new Map([["a", BigInt64Array.of(label)]]), masks: new Map() },
  ],
  scalars: { learningRate: 0.5, taskWeights: new Map(), counts: new Map() },
}));

async function prove(change: (device: FakeDevice) => void, signal?: AbortSignal) {
  const device = new FakeDevice();
  change(device);
  const line = await proveCapture(device, BATCHES, signal);
  expect(device.now).toEqual(START);
  expect(device.givenUp).toBe(device.captures ? 0 : 1);
  return { device, line };
}

const ON = "CUDA graphs: on; 6 captured steps gave what plain ones give";

describe("captured steps are used", () => {
  test("if they are equal, and the state is what it was", async () => {
    const { device, line } = await prove(() => undefined);
    expect(line).toBe(ON);
    expect([device.captures, device.captured]).toEqual([true, 6]);
  });

  test("if they differ as plain ones do", async () => {
    const noisy: Change = (_, plain, run) => ({ ...plain, weight: plain.weight * (1 + 1e-6 * (run % 7)) });
    const { line } = await prove((device) => {
      device.plainly = noisy;
      device.capturing = noisy;
    });
    expect(line).toBe(ON);
  });

  test("though the first steps overflow, or one of two plain ones does", async () => {
    const overflowing: Change = (before) => ({ ...before, scale: before.scale / 2 });
    const { device, line } = await prove((each) => {
      each.plainly = (before, plain, run) => (run < 4 || run === 7 ? overflowing(before, plain, run) : plain);
      each.capturing = (before, plain, run) => (run < 3 ? overflowing(before, plain, run) : plain);
    });
    expect(line).toBe(ON);
    expect(device.captured).toBeGreaterThan(6);
  });
});

describe("captured steps are not used", () => {
  test.each<[string, Change]>([
    ["that do nothing", (before) => before],
    ["with a batch of long ago", (before, plain) => ({ ...plain, weight: before.weight + 0.25 })],
    ["that once do nothing", (before, plain, run) => (run === 6 ? before : plain)],
    ["with no number", (_, plain, run) => (run === 3 ? { ...plain, weight: Number.NaN } : plain)],
    ["with another last bit", (_, plain, run) => ({ ...plain, other: plain.other * (1 + run * 2 ** -22) })],
    ["that count twice", (_, plain) => ({ ...plain, step: plain.step + 1n })],
    ["that scale otherwise", (_, plain) => ({ ...plain, scale: plain.scale / 2 })],
  ])("%s", async (_, capturing) => {
    const { device, line } = await prove((each) => {
      each.capturing = capturing;
    });
    expect(device.captures).toBe(false);
    expect(line).toMatch(/^CUDA graphs: off: of a captured step, /);
  });

  test("where one tensor is noisy and another one is stale", async () => {
    const { line } = await prove((device) => {
      device.plainly = (_, plain, run) => ({ ...plain, other: plain.other * (1 + 0.5 * (run % 2)) });
      device.capturing = (before, plain) => ({ ...plain, weight: before.weight });
    });
    expect(line).toMatch(/^CUDA graphs: off: of a captured step, weight differs by/);
  });

  test("where plain ones differ so much that nothing could be told", async () => {
    const { line } = await prove((device) => {
      device.plainly = (_, plain, run) => ({ ...plain, weight: run % 2 ? Number.NaN : 1, other: run });
    });
    expect(line).toMatch("plain steps differ by");
  });

  test("where every step overflows", async () => {
    const { device, line } = await prove((each) => {
      each.plainly = (before) => ({ ...before, scale: before.scale / 2 });
      each.capturing = each.plainly;
    });
    expect(device.captures).toBe(false);
    expect(line).toBe("CUDA graphs: off: too few of 24 steps changed anything that could be compared");
  });

  test("which ONNX Runtime refuses", async () => {
    const refused = new MttcError({ code: "E_ORT", message: "nodes on the CPU" });
    const opening = await prove((device) => {
      device.captureFault = refused;
    });
    expect(opening.line).toBe("CUDA graphs: off: nodes on the CPU");
    const running = await prove((device) => {
      device.capturing = () => {
        throw refused;
      };
    });
    expect(running.line).toBe("CUDA graphs: off: nodes on the CPU");
    const failure = new Error("not mttc's");
    const device = new FakeDevice();
    device.capturing = () => {
      throw failure;
    };
    await expect(proveCapture(device, BATCHES)).rejects.toBe(failure);
  });

  test("after Ctrl-C", async () => {
    const { device, line } = await prove(() => undefined, AbortSignal.abort());
    expect(device.captured).toBe(0);
    expect(line).toMatch("interrupted");
  });
});
