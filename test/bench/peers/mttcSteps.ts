// mttc's side of `npm run bench -- peers`, a process of its own: opens a network as `mttc train` does (the
// model file read, compiled, written, opened in ONNX Runtime, the initial state set) and takes the
// trainer's steps on command. ONNX Runtime's thread lives in this process, so its memory counts.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { encodeSafetensors } from "../../../compiler/codec/safetensors.ts";
import { drawDropoutMask } from "../../../runtime/draws/dropoutMasks.ts";
import type { LabelRow } from "../../../runtime/tables/labelTable.ts";
import { masksOf } from "../../../runtime/train/microBatch.ts";
import { MultiTaskTrainer } from "../../../runtime/train/multiTaskTrainer.ts";
import { experimentFromOptions, type TrainerOptions } from "../../../runtime/train/trainerOptions.ts";
import { TrainingSession } from "../../../runtime/train/trainingSession.ts";
import { type PeerNet, peerSpec } from "./peerNets.ts";
import { stepBatch } from "./stepData.ts";
import type { Losses, MttcSetting, OpenRequest, StepTimes } from "./stepProtocol.ts";

type Request =
  | ({ readonly command: "open" } & OpenRequest & MttcSetting)
  | ({ readonly command: "initial" } & Pick<OpenRequest, "net" | "models" | "state">)
  | { readonly command: "steps"; readonly count: number }
  | { readonly command: "memory" };

class MttcSteps {
  readonly #session: TrainingSession;
  readonly #request: OpenRequest;
  readonly #batch: ReturnType<typeof stepBatch>;
  readonly #counts: ReadonlyMap<string, number>;
  /** Buffers of images that are not with ONNX Runtime's thread. */
  readonly #buffers: ArrayBuffer[];
  #step = 0;

  private constructor(session: TrainingSession, request: OpenRequest) {
    this.#session = session;
    this.#request = request;
    this.#batch = stepBatch(request.net);
    this.#buffers = [this.#batch.images.buffer];
    this.#counts = new Map(
      [...this.#batch.labels].map(([task, labels]) => [task, labels.filter((label) => label >= 0n).length]),
    );
  }

  static async open(request: OpenRequest & MttcSetting): Promise<MttcSteps> {
    const { net, models, threads, autotune } = request;
    const options = trainerOptions(net, models);
    const runtime = { threads, ...(autotune ? { autotune } : {}) };
    const experiment = experimentFromOptions(options, runtime);
    const session = await TrainingSession.open(experiment, { ...runtime, existing: false, trains: true });
    return new MttcSteps(session, request);
  }

  /** One step of the trainer, and the mean losses. */
  async step(): Promise<Losses> {
    const { device, manifest } = this.#session;
    const images = new Uint8Array(this.#buffers.pop() ?? this.#batch.images.slice().buffer);
    const masks = new Map(
      masksOf(manifest, "image").map((mask) => {
        const shape = mask.shape.map(Number);
        const drawn = this.#request.dropout
          ? drawDropoutMask(0, this.#step, shape, mask)
          : new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(1);
        return [mask.name, drawn];
      }),
    );
    this.#step++;
    const labels = structuredClone(this.#batch.labels);
    const scalars = { learningRate: this.#request.lr, taskWeights: new Map(), counts: this.#counts };
    const { tasks, inputBuffers } = await device.microBatch({ images, labels, masks }, 0, scalars);
    this.#buffers.push(...inputBuffers);
    return manifest.tasks.map(({ name }) => {
      const { loss_sum: lossSum = Number.NaN, count = 0 } = tasks.get(name) ?? {};
      return lossSum / count;
    });
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

function trainerOptions(net: PeerNet, models: string): TrainerOptions {
  return { ...peerSpec(net, models), train_labels: labelRows(net) };
}

/**
 * Writes the initial values of all parameters but those of an imported trunk, flat float32 by name, for
 * PyTorch's side to begin with.
 */
async function writeInitial({ net, models, state }: Pick<OpenRequest, "net" | "models" | "state">) {
  await using trainer = new MultiTaskTrainer(trainerOptions(net, models));
  const own = [...(await trainer.parameters())].filter(
    ([name]) => net.trunk === null || !name.startsWith("fcn."),
  );
  const tensors = own.map(([name, data]) => ({
    ...({ name, dtype: "float32", shape: [data.length] } as const),
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }));
  writeFileSync(state, encodeSafetensors(tensors));
  return { names: own.map(([name]) => name) };
}

/** As many labelled rows as a step takes; their image is never read. */
function labelRows(net: PeerNet): LabelRow[] {
  const tasks = net.classes.map((count, task) => ({ name: `task${task}`, count }));
  return Array.from({ length: net.batch }, (_, row) => ({
    filepath: join(folder, "image"),
    ...Object.fromEntries(tasks.map(({ name, count }) => [name, `class${row % count}`])),
  }));
}

/** The most memory that was resident, as Linux counts it. */
function peakBytes(): number {
  return 1024 * Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

async function takeSteps(steps: MttcSteps, count: number): Promise<StepTimes> {
  const milliseconds: number[] = [];
  const losses: Losses[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    losses.push(await steps.step());
    milliseconds.push(performance.now() - began);
  }
  return { milliseconds, losses };
}

async function main(): Promise<void> {
  let steps: MttcSteps | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line) as Request;
    let answer: unknown;
    if (request.command === "open") {
      steps = await MttcSteps.open(request);
      answer = { losses: await steps.step() };
    } else if (request.command === "initial") answer = await writeInitial(request);
    else if (request.command === "memory") answer = { peakBytes: peakBytes() };
    else if (steps) answer = await takeSteps(steps, request.count);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  await steps?.close();
}

const folder = mkdtempSync(join(tmpdir(), "mttc-peers-"));
try {
  writeFileSync(join(folder, "image"), "");
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
