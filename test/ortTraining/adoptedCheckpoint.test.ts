// A checkpoint that ONNX Runtime Training saved of our artifacts, as `mttc adopt` makes a run of it: to the
// bits of a run that mttc trained alone. The file is made here, as that runtime makes it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTrainingCheckpoint } from "../../compiler/codec/readTrainingCheckpoint.ts";
import { decodeSafetensors, type StoredTensor } from "../../compiler/codec/safetensors.ts";
import {
  type CheckpointTensor,
  encodeTrainingCheckpoint,
  type TrainingCheckpoint,
} from "../../compiler/codec/trainingCheckpoint.ts";
import { need } from "../../compiler/diagnostics.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";

const STEPS = 3;
type Tensors = ReadonlyMap<string, StoredTensor>;

/** The data set with artifacts, and its spec trained for two epochs into `whole`. */
async function trainedData() {
  const data = await makeTinyData({ batchnorm: "true", epochs: "2", logdir: "whole" });
  const { folder } = data;
  for (const args of [
    ["compile", "spec.yml", "--target", "ort-training", "-o", "artifacts"],
    ["train", "spec.yml", "--no-report"],
  ])
    expect(await runCli(folder, args)).toMatchObject({ code: 0 });
  return data;
}

function stateOf(folder: string, epoch: string, run = "whole"): Tensors {
  const file = join(folder, run, "checkpoints", epoch, "state.safetensors");
  return decodeSafetensors(readFileSync(file), file).tensors;
}

/** The checkpoint of the artifacts with the weights and moments of a state, after so many steps. */
function checkpointOf(folder: string, state: Tensors, step: number): TrainingCheckpoint {
  const fresh = readTrainingCheckpoint(readFileSync(join(folder, "artifacts", "checkpoint")), "checkpoint");
  const numbers = (name: string, tensor: Pick<CheckpointTensor, "name" | "shape">): CheckpointTensor => {
    const bytes = new Uint8Array(need(state.get(name), name).data);
    return { name: tensor.name, shape: tensor.shape, data: new Float32Array(bytes.buffer) };
  };
  const same = (tensor: CheckpointTensor) => numbers(tensor.name, tensor);
  const states = fresh.trained.map(({ name, shape }) => ({
    parameter: name,
    moments: ["m", "v"].map((slot, i) => numbers(`${name}/${slot}`, { name: `momentum${i}`, shape })),
  }));
  const weights = { trained: fresh.trained.map(same), frozen: fresh.frozen.map(same) };
  return { ...fresh, ...weights, optimizer: { step, states } };
}

function save(folder: string, checkpoint: TrainingCheckpoint): void {
  writeFileSync(join(folder, "device.ckpt"), encodeTrainingCheckpoint(checkpoint));
}

const ADOPT = ["adopt", "spec.yml", "device.ckpt", "-o", "run"];

describe("a checkpoint of ONNX Runtime Training", () => {
  test("becomes a run that goes on to the bits of one that mttc trained alone", async () => {
    await using data = await trainedData();
    const { folder } = data;
    save(folder, checkpointOf(folder, stateOf(folder, "epoch-0001"), STEPS));
    const adopted = await runCli(folder, ADOPT);
    expect(adopted.code, adopted.stderr).toBe(0);
    expect(adopted.stdout).toContain("Adopted: 1 epoch, as run/checkpoints/epoch-0001");
    const resumed = await runCli(folder, ["train", "run", "--resume", "--no-report"]);
    expect(resumed.code, resumed.stderr).toBe(0);
    const [wanted, found] = [stateOf(folder, "epoch-0002"), stateOf(folder, "epoch-0002", "run")];
    expect([...found.keys()]).toEqual([...wanted.keys()]);
    for (const [name, { data: bytes }] of wanted)
      expect(Buffer.compare(bytes, found.get(name)?.data ?? new Uint8Array()), name).toBe(0);
    const facts = JSON.parse(readFileSync(join(folder, "run", "run.json"), "utf8"));
    expect(facts.adopted).toMatchObject({ driver: "ONNX Runtime Training", steps: STEPS });
  });

  test("is refused where it was saved without the optimizer, is damaged, or of another spec", async () => {
    await using data = await trainedData();
    const { folder } = data;
    const whole = checkpointOf(folder, stateOf(folder, "epoch-0001"), STEPS);
    const refusal = async (): Promise<string> => {
      const { code, stderr } = await runCli(folder, ADOPT);
      expect(code).toBe(2);
      return stderr;
    };
    save(folder, { ...whole, optimizer: undefined });
    expect(await refusal()).toMatch(
      /saved without what the optimizer remembers.*\[E_CKPT_MISMATCH\]\n.*include_opt/s,
    );
    save(folder, { ...whole, trained: whole.trained.slice(1) });
    expect(await refusal()).toContain("[E_CKPT_MISMATCH]");
    writeFileSync(join(folder, "device.ckpt"), encodeTrainingCheckpoint(whole).subarray(0, 999));
    expect(await refusal()).toContain("[E_CKPT_CORRUPT]");
    save(folder, whole);
    const spec = join(folder, "spec.yml");
    writeFileSync(spec, readFileSync(spec, "utf8").replace("batch_size: 12", "batch_size: 6"));
    expect(await refusal()).toMatch(/batch_size.*\[E_CKPT_MISMATCH\]/);
  });
});
