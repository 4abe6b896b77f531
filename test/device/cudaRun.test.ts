// Whole runs through the public class on ONNX Runtime's own CUDA provider, without a device: nothing is
// computed, but everything is asked for as on one: autotuning, the proof of CUDA graphs, epochs of captured
// steps, evaluations, checkpoints. Runs where cudaPlacement.test.ts does.
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCudaDriver } from "../../runtime/ort/cudaDriver.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { LabelSource, TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { writePatternImages } from "../training/patternImages.ts";
import { CudaStandIn, providerWithoutDevice } from "./cudaStandIn.ts";
import { LaunchTrace, type TracedCall } from "./launchTrace.ts";

const folder = providerWithoutDevice();
const STEPS = 4;

describe.skipIf(folder === undefined)("a run on the CUDA provider, without a device", () => {
  let standIn: CudaStandIn;
  let trace: LaunchTrace;
  let rows: Exclude<LabelSource, string>;
  const cacheHome = process.env.XDG_CACHE_HOME;
  beforeAll(async () => {
    standIn = new CudaStandIn(folder ?? "");
    trace = new LaunchTrace(standIn);
    rows = await writePatternImages(path.join(standIn.build, "images"), 40);
    process.env.XDG_CACHE_HOME = standIn.build;
  });
  afterAll(() => {
    if (cacheHome === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = cacheHome;
    standIn[Symbol.dispose]();
  });

  /** Two epochs, with CUDA graphs; what was said, and the calls of the second epoch. */
  async function run(more: Partial<TrainerOptions>) {
    const options: TrainerOptions = {
      train_labels: rows.slice(0, 32),
      val_labels: rows.slice(32),
      tasks: ["hue", "stripes"],
      fcn: { layers: [8, "p", 8] },
      train_fcn: true,
      task_layers: [8, "d"],
      imshape: [16, 16],
      batch_size: 8,
      ...more,
    };
    const runtime = { executionProvider: "cuda", ortLibrary: folder, cudaGraph: true } as const;
    await using trainer = new MultiTaskTrainer(options, runtime);
    const messages: string[] = [];
    trainer.on("log", ({ message }) => messages.push(message));
    let calls: readonly TracedCall[] = [];
    trainer.on("epoch", ({ epoch }) => {
      if (epoch === 2) calls = trace.read();
      trace.reset();
    });
    expect(await trainer.fit(2)).toHaveLength(2);
    return { messages, launches: calls.filter(({ name }) => name === "cudaGraphLaunch") };
  }

  test("the device has a name, which measurements are kept by", () => {
    expect(readCudaDriver().devices).toMatchObject([{ name: "no device", capability: "9.0" }]);
  });

  const augment = { flip_left_right: true, zoom_scale: 0.3 };
  test.each<[string, Partial<TrainerOptions>, number]>([
    ["augmented in the graph", { augment }, STEPS],
    ["in micro-batches", { accumulate: 2 }, 3 * STEPS],
    ["on features", { train_fcn: false, shared_layers: [8] }, STEPS],
  ])("%s: tunes, proves, and trains by captured steps", async (_, more, launched) => {
    const { messages, launches } = await run(more);
    expect(messages[0]).toBe("running on CUDA device 0");
    expect(messages.join("\n")).toMatch(/autotune: \d+ shapes of operators/);
    expect(messages).toContain("CUDA graphs: on; 6 captured steps gave what plain ones give");
    expect(launches).toHaveLength(launched);
    expect(new Set(launches.map(({ detail }) => detail.split(",")[0])).size).toBeGreaterThan(1);
  });

  test("in float16: what changes nothing that can be compared is not captured, and the run goes on", async () => {
    const { messages, launches } = await run({ precision: "fp16", batchnorm: true });
    expect(messages.at(-1)).toMatch("CUDA graphs: off: too few of 24 steps changed anything");
    expect(launches).toEqual([]);
  });
});
