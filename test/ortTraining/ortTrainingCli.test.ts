// `mttc compile --target ort-training`: what it writes, what it says, and what of a spec it refuses.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { readMetadata } from "../../compiler/export/modelMetadata.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, tinySpec } from "../cli/tinyData.ts";

const ARGS = ["compile", "spec.yml", "--target", "ort-training", "-o", "artifacts"];
const FILES = [
  "checkpoint",
  "eval_model.onnx",
  "optimizer_model.onnx",
  "ort-training.json",
  "training_model.onnx",
];

/** 1-based line of a key in the spec. */
function lineOf(spec: string, key: string): number {
  return spec.split("\n").findIndex((line) => line.startsWith(`${key}:`)) + 1;
}

describe("mttc compile --target ort-training", () => {
  test("writes artifacts that say what they are, the same twice, and replaces only its own", async () => {
    await using data = await makeTinyData({ lr_decay: "10", clip_norm: "1" });
    const { folder } = data;
    const first = await runCli(folder, ARGS);
    expect([first.code, first.stderr]).toEqual([
      0,
      expect.stringContaining("task_weights: a task without a label"),
    ]);
    expect(first.stdout).toMatch(
      /Artifacts of ONNX Runtime Training 1\.18 and 1\.19, made in \d+ ms; written to artifacts/,
    );
    const directory = join(folder, "artifacts");
    expect(readdirSync(directory).sort()).toEqual(FILES);
    const read = () => FILES.map((name) => readFileSync(join(directory, name)));
    const before = read();
    const manifest = JSON.parse(readFileSync(join(directory, "ort-training.json"), "utf8"));
    expect(manifest.files["training_model.onnx"].bytes).toBe(before[4]?.length);
    expect(manifest.optimizer).toMatchObject({
      ...{ clipNorm: 1, rate: { formula: "exponential", value: 0.001, steps: 10 } },
      attributes: { epsilon: 1e-7, weight_decay: 0 },
    });
    expect(manifest.tasks).toMatchObject([
      { name: "colour", output: "probabilities/colour", classes: ["blue", "red"] },
      { name: "its shape", output: "probabilities/its shape", classes: ["bar", "dot", "ring"] },
    ]);
    expect(
      manifest.inputs.training.map(({ name, dtype, role }: Record<string, string>) => [name, dtype, role]),
    ).toEqual([
      ["image", "uint8", "image"],
      ["label/colour", "int64", "label"],
      ["label/its shape", "int64", "label"],
    ]);
    const props = decodeModelProto(before[1] ?? new Uint8Array()).metadataProps ?? [];
    expect(readMetadata(props, "eval_model.onnx").tasks).toEqual(manifest.tasks);
    expect((await runCli(folder, ARGS)).code).toBe(0);
    expect(read().map((bytes, i) => Buffer.compare(bytes, before[i] ?? new Uint8Array()))).toEqual([
      0, 0, 0, 0, 0,
    ]);
    writeFileSync(join(directory, "mine.txt"), "mine");
    const { code, stderr } = await runCli(folder, ARGS);
    expect([code, stderr]).toEqual([2, expect.stringContaining("[E_RUN_EXISTS]")]);
    expect(readFileSync(join(directory, "mine.txt"), "utf8")).toBe("mine");
  });

  test("refuses all that the runtime's operators cannot express at once, each with its line", async () => {
    const keys = {
      ...{ optimizer: "lars", layer_lr: "0.1", ema: "0.9", max_task_weight: "5", one_cycle: "true" },
      tasks: '[colour, {name: "size_grad", kind: number}]',
    };
    await using data = await makeTinyData(keys);
    const { folder } = data;
    for (const name of ["train.csv", "val.csv"]) {
      const file = join(folder, name);
      const [head, ...rows] = readFileSync(file, "utf8").trimEnd().split("\n");
      writeFileSync(file, [`${head},size_grad`, ...rows.map((row, i) => `${row},${i}`), ""].join("\n"));
    }
    const { code, stderr } = await runCli(folder, ARGS);
    expect(code).toBe(2);
    const spec = tinySpec(keys);
    const expected = [
      ["optimizer", "ONNX Runtime Training has no lars", "one of: adam, adamw"],
      ["layer_lr", "its optimizer updates all parameters at one rate", "take the line out"],
      ["ema", "its optimizer keeps no average of the weights", "take the line out"],
      ["max_task_weight", "its optimizer bounds no weight", "take the line out, or fix task_weights"],
      ["one_cycle", "the length of a run on a device is not known", "give the number of steps"],
    ] as const;
    for (const [key, message, hint] of expected) {
      expect(stderr).toContain(`spec.yml:${lineOf(spec, key)}:`);
      expect(stderr).toContain(`${key}: ${message} [--target ort-training] [E_CONFIG]\n  ${hint}`);
    }
    expect(stderr).toContain(
      `tasks[1]: ONNX Runtime Training would take "label/size_grad" for a gradient by its ending`,
    );
    expect(stderr).toContain(`spec.yml:${lineOf(spec, "tasks")}:`);
    expect(stderr.match(/\[E_CONFIG\]/g)?.length).toBe(6);
    expect(readdirSync(folder)).not.toContain("artifacts");
  });

  test.each([
    ["momentum", { optimizer: "momentum" }, /has no momentum/],
    ["gradients combined", { combine: "upgrad" }, /combine: its step goes back once/],
    ["gradients measured", { combine: "{method: sum, measure: true}" }, /combine: its step goes back once/],
    ["losses weighed", { combine: "dwa", task_weights: "null" }, /combine: its step goes back once/],
    ["factors learned", { combine: "famo", task_weights: "null" }, /combine: its step goes back once/],
    ["rates by part", { layer_lr: "{task_layers: 2}" }, /at one rate/],
  ])("refuses %s", async (_, keys, message) => {
    await using data = await makeTinyData(keys as Record<string, string>);
    const { code, stderr } = await runCli(data.folder, ARGS);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test("takes a rate of the extractor where that is frozen, and says what is done otherwise", async () => {
    await using data = await makeTinyData({
      ...{ layer_lr: "0.1", train_fcn: "false", optimizer: "adamw", weight_decay: "0.01", accumulate: "3" },
      ...{ task_layers: "[d, 4]", max_task_weight: "5", task_weights: "[1, 2]" },
    });
    const { code, stderr } = await runCli(data.folder, ARGS);
    expect(code, stderr).toBe(0);
    for (const text of [
      "weight_decay: ONNX Runtime's AdamW decays every",
      "accumulate: a step",
      "dropout: masks are",
    ])
      expect(stderr).toContain(text);
  });

  test("and --ort-version is of that target, and of releases that there were", async () => {
    await using data = await makeTinyData();
    const { folder } = data;
    const older = await runCli(folder, [...ARGS, "--ort-version", "1.17"]);
    expect(older.stdout).toContain("Artifacts of ONNX Runtime Training 1.17, made");
    const other = await runCli(folder, ["compile", "spec.yml", "-o", "bundle", "--ort-version", "1.17"]);
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining("give --target ort-training")]);
    const later = await runCli(folder, [...ARGS, "--ort-version", "1.20"]);
    expect([later.code, later.stderr]).toEqual([2, expect.stringContaining("1.17, 1.18, 1.19")]);
  });
});
