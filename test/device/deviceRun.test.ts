// A run through the public class on a device whose memory is not the host's: it trains, saves a checkpoint by
// copying the state, is gone on with, and the CPU opens it and finds the same figures.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { DEVICE_LOSS } from "../tolerances.ts";
import { writePatternImages } from "../training/patternImages.ts";
import { HAS_STAND_IN, standInLibrary, useSwiftShader } from "./swiftShader.ts";

describe.runIf(HAS_STAND_IN)("a run on WebGPU, in software", () => {
  let folder: string;
  beforeAll(async () => {
    useSwiftShader();
    folder = await mkdtemp(join(tmpdir(), "mttc-device-run-"));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  test("is saved, gone on with, and read by the CPU", async () => {
    const rows = await writePatternImages(join(folder, "images"), 10);
    const options = (logdir: string): TrainerOptions => ({
      train_labels: rows.slice(0, 6),
      val_labels: rows.slice(6),
      tasks: ["hue", "stripes"],
      // WebGPU of ONNX Runtime 1.29 has no max pooling with indices and no batch norm in training form.
      fcn: { layers: [4] },
      train_fcn: true,
      task_layers: [],
      imshape: [8, 8],
      batch_size: 2,
      seed: 5,
      logdir: join(folder, logdir),
    });
    const messages: string[] = [];
    const losses = async (logdir: string, provider: "cpu" | "webgpu"): Promise<number[]> => {
      const cudaGraph = true;
      const runtime = { executionProvider: provider, ortLibrary: standInLibrary(), threads: 1, cudaGraph };
      await using trainer = new MultiTaskTrainer(options(logdir), runtime);
      trainer.on("log", ({ message }) => messages.push(message));
      await trainer.fit(1);
      const history = await trainer.fit(2, { resume: true });
      return history.flatMap(({ trainLoss }) => Object.values(trainLoss));
    };
    const onDevice = await losses("device", "webgpu");
    const onCpu = await losses("cpu", "cpu");
    expect(onDevice).toHaveLength(4);
    expect(messages.filter((message) => message === "running on WebGPU")).toHaveLength(1);
    expect(messages.join()).toMatch(/\d+ of \d+ nodes of train run on the CPU/);
    // Of this network the CPU takes a part, so that nothing can be captured; the run goes on without.
    expect(messages.join("\n")).toMatch(/CUDA graphs: off: loading graph "train": ONNX Runtime says/);
    expect(messages).toContain("CUDA graphs: off: the run is on the CPU");
    for (const [i, loss] of onDevice.entries())
      expect(Math.abs(loss - (onCpu[i] ?? Number.NaN))).toBeLessThan(DEVICE_LOSS);

    const evaluate = async (executionProvider: "cpu" | "webgpu") => {
      const runtime = { executionProvider, ortLibrary: standInLibrary() };
      await using trainer = await MultiTaskTrainer.fromRun(join(folder, "device"), runtime);
      return await trainer.evaluate();
    };
    const [seenThere, seenHere] = [await evaluate("webgpu"), await evaluate("cpu")];
    expect(seenThere.images).toBe(4);
    for (const [task, { loss, accuracy }] of Object.entries(seenThere.tasks)) {
      expect(Math.abs(loss - (seenHere.tasks[task]?.loss ?? Number.NaN))).toBeLessThan(DEVICE_LOSS);
      expect(accuracy).toBe(seenHere.tasks[task]?.accuracy);
    }
  });
});
