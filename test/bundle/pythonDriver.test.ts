// examples/clients/python/train.py, which is written from CONTRACT.md alone, against mttc: what it draws,
// number for number, and the weights that it trains. Skipped, saying so, where no Python has its packages.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { describe, expect, type TestContext, test } from "vitest";
import { decodeSafetensors, type StoredTensor } from "../../compiler/codec/safetensors.ts";
import type { Schedule } from "../../compiler/ir/roles.ts";
import { AUGMENT_KEYS, AUGMENT_NAMES } from "../../compiler/spec/augmentKeys.ts";
import { learningRateAt } from "../../compiler/step/schedules.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { RandomStream } from "../../runtime/draws/randomStream.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { pythonWith } from "../python.ts";
import { DRIVER_MOVED, DRIVER_WEIGHTS, SCHEDULE_FLOAT64 } from "../tolerances.ts";
import { renameBundle } from "./renamedBundle.ts";

const DRIVER = join(import.meta.dirname, "..", "..", "examples", "clients", "python", "train.py");
const MAX_LINES = 200;
/** Reads a table's cells for the driver. */
const LABELS = join(dirname(DRIVER), "labels.py");
const MAX_LABEL_LINES = 40;
const python = pythonWith("onnxruntime", "numpy", "PIL");

/** Skips the test where there is no Python for the driver. */
function driverPython(context: TestContext): string {
  if (python !== undefined) return python;
  return context.skip("no python3 with onnxruntime, numpy and pillow");
}

/** Runs Python in a folder. */
function runPython(program: string, args: readonly string[], cwd: string) {
  const own = { ORT_DISABLE_TELEMETRY: "1", PYTHONDONTWRITEBYTECODE: "1", PYTHONPATH: dirname(DRIVER) };
  const env = { ...process.env, ...own };
  return spawnSync(program, args, { cwd, env, encoding: "utf8", maxBuffer: 2 ** 27 });
}

test(`the driver has at most ${MAX_LINES} lines and three packages`, () => {
  const linesOf = (file: string) => readFileSync(file, "utf8").trimEnd().split("\n");
  const [driver, labels] = [linesOf(DRIVER), linesOf(LABELS)];
  expect(driver.length).toBeLessThanOrEqual(MAX_LINES);
  expect(labels.length).toBeLessThanOrEqual(MAX_LABEL_LINES);
  const imported = [...driver, ...labels].flatMap(
    (line) => /^(?:from|import) (.+)/.exec(line)?.[1]?.split(/ import .*|, /) ?? [],
  );
  const own = ["csv", "json", "math", "sys", "pathlib", "labels"];
  const others = new Set(imported.filter((name) => name !== "" && !own.includes(name)));
  expect([...others]).toEqual(["numpy as np", "onnxruntime", "PIL"]);
});

describe("what the driver draws", () => {
  const sizes = [
    { height: 40, width: 48, channels: 3 },
    { height: 9, width: 8, channels: 1 },
    { height: 33, width: 250, channels: 3 },
  ];
  const samples = 40;

  test("is what mttc draws, for every operation, size and strength", async (context) => {
    const program = driverPython(context);
    await using data = await makeTinyData();
    const cases = AUGMENT_NAMES.flatMap((name) => {
      const { least, most, normal } = AUGMENT_KEYS[name];
      return sizes.flatMap((size) =>
        [least, normal, most].map((strength, seed) => {
          const drawn = drawAugmentRows({ settings: { [name]: strength }, size, seed, epoch: 3 }, 7, samples);
          return { name, strength, ...size, seed, epoch: 3, first: 7, samples, rows: [...drawn] };
        }),
      );
    });
    writeFileSync(join(data.folder, "cases.json"), JSON.stringify(cases));
    const script = `
import json, train
import numpy as np
far = []
for case in json.load(open("cases.json")):
    operation = {"name": case["name"], "strength": case["strength"]}
    for i in range(case["samples"]):
        stream = case["seed"], "augment " + case["name"], case["epoch"], case["first"] + i
        found = np.float32(train.draw_columns(operation, stream, case["height"], case["width"]))
        wanted = np.float32(case["rows"][i * len(found):][:len(found)])
        if not np.array_equal(found, wanted): far.append([case["name"], i, found.tolist(), wanted.tolist()])
print(json.dumps(far))
`;
    const { stdout, stderr } = runPython(program, ["-c", script], data.folder);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual([]);
    expect(cases.length).toBe(AUGMENT_NAMES.length * sizes.length * 3);
  });

  test("and the rates that it feeds are mttc's, of every formula", async (context) => {
    const program = driverPython(context);
    await using data = await makeTinyData();
    const schedules: readonly Schedule[] = [
      { formula: "constant", value: 0.3 },
      { formula: "warmup", value: 0.3, warmup: 7 },
      { formula: "exponential", value: 0.3, steps: 6, rate: 0.5, warmup: 2 },
      { formula: "staircase", value: 0.3, steps: 6, rate: 0.5, warmup: 0 },
      { formula: "cosine", value: 0.3, steps: 20, least: 0.01, warmup: 5 },
      { formula: "cosine_restarts", value: 0.3, steps: 5, growth: 2, warmup: 1 },
      { formula: "one_cycle", value: 0.3, steps: 31, rise: 0.3, start: 25, end: 1e4 },
      { formula: "one_cycle", value: 0.3, steps: "run", rise: 0.3, start: 25, end: 1e4 },
    ];
    writeFileSync(join(data.folder, "cases.json"), JSON.stringify(schedules));
    const script = `
import json, train
cases = json.load(open("cases.json"))
print(json.dumps([[train.scheduled(case, step, 33) for step in range(40)] for case in cases]))
`;
    const { stdout, stderr } = runPython(program, ["-c", script], data.folder);
    expect(stderr).toBe("");
    const found = JSON.parse(stdout) as readonly (readonly number[])[];
    schedules.forEach((schedule, i) => {
      for (let step = 0; step < 40; step++)
        expect(
          Math.abs((found[i]?.[step] ?? Number.NaN) - learningRateAt(schedule, step, 33)),
          `${schedule.formula} at ${step}`,
        ).toBeLessThan(SCHEDULE_FLOAT64);
    });
  });

  test("is the same stream, whatever seed, purpose, time and index", async (context) => {
    const program = driverPython(context);
    await using data = await makeTinyData();
    const cases = [0, 1, 2 ** 32 + 5, 2 ** 53 - 1].flatMap((seed) =>
      ["", "epoch order", "größe 猫 🐈"].map((purpose, i) => {
        const [stream, numbers] = [1, 2].map(
          () => new RandomStream(seed, purpose, 2 ** 31 + i, 2 ** 32 - 1 - i),
        );
        return {
          stream: [seed, purpose, 2 ** 31 + i, 2 ** 32 - 1 - i],
          words: Array.from({ length: 11 }, () => stream?.nextUint32()),
          numbers: Array.from({ length: 7 }, () => numbers?.nextUniform()),
        };
      }),
    );
    writeFileSync(join(data.folder, "cases.json"), JSON.stringify(cases));
    const script = `
import json, train
cases = [{"stream": case["stream"]} for case in json.load(open("cases.json"))]
for case in cases:
    case["words"] = train.words(11, *case["stream"]).tolist()
    case["numbers"] = train.uniforms(7, *case["stream"]).tolist()
print(json.dumps(cases))
`;
    const { stdout, stderr } = runPython(program, ["-c", script], data.folder);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(cases);
  });
});

/** Operations that are the same to the bit on bytes and in the graph, before the first that is not. */
const EXACT = ["flip_left_right", "flip_up_down", "rot90"];
/** Every operation; with `shear` among them a run's own loader does nothing but flips and quarter turns. */
const ALL_OPERATIONS = `{${AUGMENT_NAMES.map((name) => `${name}: true`).join(", ")}}`;

describe("the weights that the driver trains", () => {
  test.for<[string, Record<string, string>, readonly string[]]>([
    [
      "with batch norm, dropout, every augmentation, adaptive weights and Adam",
      {
        ...{ batchnorm: "true", task_layers: "[6, d, 4]", shared_layers: "[6, d, r]" },
        augment: ALL_OPERATIONS,
        ...{ one_cycle: "true", clip_norm: "0.5", ema: "0.8", layer_lr: "0.5" },
      },
      [],
    ],
    [
      "of grey images in micro-batches, with class weights, momentum and a permutation",
      {
        ...{ accumulate: "3", class_weights: "balanced", optimizer: "momentum", balance_probs: "false" },
        ...{ batchnorm: "true", task_layers: "[d, 4]", weight_decay: "0.001", seed: "8589934597" },
        ...{ single_channel: "true", ema: "0.8", warmup: "3", lr_decay: "3", decay_type: "cosine" },
        augment: "{flip_left_right: true, rot90: true, zoom_scale: 0.4, shear: 0, gaussian_noise: 0.5}",
      },
      [],
    ],
    [
      "by classes, with fixed weights and a frozen part, for CUDA",
      {
        ...{ balance_classes: "true", task_weights: "[1, 0.25]", class_weights: "{colour: {red: 3}}" },
        ...{ train_fcn: "false", optimizer: "adamw", weight_decay: "0.01", task_layers: "[d, 4]" },
        ...{ lr_decay: "5", decay_type: "warmupcosine", warmup: "2" },
      },
      ["--target", "cuda"],
    ],
    [
      "of tags in a cell and in columns, of numbers and a class, with other losses and weights",
      {
        tasks:
          "[colour, {name: marks, kind: tags, loss: focal}, {name: flags, kind: tags, columns: [p, q]}, " +
          "{name: place, kind: number, columns: [x, y], loss: huber}, {name: size, kind: number}]",
        ...{ class_weights: "balanced", label_smoothing: "0.1", balance_classes: "true" },
      },
      [],
    ],
    [
      "of all kinds in micro-batches, a weight for each tag",
      {
        tasks: "[{name: place, kind: number, columns: [x, y]}, {name: marks, kind: tags}, colour]",
        ...{ class_weights: "{marks: {a: 3}}", accumulate: "3", balance_probs: "false" },
        ...{ task_weights: "[1, 2, 0.5]", optimizer: "momentum" },
      },
      [],
    ],
  ])("are those of mttc train %s", async ([_, spec, flags], context) => {
    const program = driverPython(context);
    await using data = await makeTinyData({ ...spec, epochs: "4" });
    const { folder } = data;
    if (spec.single_channel) await makeGrey(join(folder, "images"));
    if (spec.tasks) addColumns(folder);
    for (const args of [
      ["compile", "spec.yml", "-o", "bundle", ...flags],
      ["train", "spec.yml"],
    ]) {
      const { code, stderr } = await runCli(folder, args);
      expect(code, stderr).toBe(0);
    }
    const { status, stderr } = runPython(program, [DRIVER, "bundle", "train.csv", "out.safetensors"], folder);
    expect([status, stderr]).toEqual([0, ""]);
    const read = (...path: string[]) =>
      decodeSafetensors(readFileSync(join(folder, ...path)), path.at(-1) ?? "").tensors;
    const [compiled, trained] = [["bundle"], ["run", "bundle"]].map((path) =>
      loaderOperations(folder, ...path),
    );
    // What mttc's own loader does to bytes is left to the graph in what `mttc compile` writes.
    expect([compiled, trained]).toEqual(
      spec.augment ? [[], EXACT.filter((name) => spec.augment?.includes(name))] : [undefined, undefined],
    );
    const before = read("bundle", "state.safetensors");
    const wanted = read("run", "checkpoints", "epoch-0004", "state.safetensors");
    const found = read("out.safetensors");
    expect([...found.keys()]).toEqual([...wanted.keys()]);
    for (const [name, tensor] of wanted)
      expect(distance(found.get(name), tensor), name).toBeLessThanOrEqual(DRIVER_WEIGHTS);
    const moved = [...wanted].filter(([name, tensor]) => distance(before.get(name), tensor) > DRIVER_MOVED);
    expect(moved.length).toBeGreaterThan(wanted.size / 2);
  });
});

/** Puts columns of tags and numbers behind those of the tables, each with holes of its own. */
function addColumns(folder: string): void {
  const marks = ["a|b", "[]", "b", "", "a", '"[""b"", ""a""]"', "NA"];
  for (const name of ["train", "val"]) {
    const file = join(folder, `${name}.csv`);
    const [head, ...lines] = readFileSync(file, "utf8").trimEnd().split("\n");
    const cells = lines.map((line, row) => {
      const flags = [["0", "1", ""][row % 3], ["true", "False", "1.0", "", "0"][row % 5]];
      const numbers = [row % 4 === 3 ? "" : 1e3 - 7 * row, row % 3 === 2 ? "nan" : row / 64, -row];
      return [line, marks[row % 7], ...flags, ...numbers].join(",");
    });
    writeFileSync(file, [`${head},marks,p,q,x,y,size`, ...cells, ""].join("\n"));
  }
}

test("the driver reads no name: of a bundle with others it makes the same bits", async (context) => {
  const program = driverPython(context);
  const layers = { batchnorm: "true", task_layers: "[d, 4]", class_weights: "balanced", accumulate: "2" };
  await using data = await makeTinyData({ ...layers, augment: "true", epochs: "1" });
  const { folder } = data;
  expect((await runCli(folder, ["compile", "spec.yml", "-o", "bundle"])).code).toBe(0);
  const train = (output: string) => {
    const { status, stderr } = runPython(program, [DRIVER, "bundle", "train.csv", output], folder);
    expect([status, stderr]).toEqual([0, ""]);
    return decodeSafetensors(readFileSync(join(folder, output)), output).tensors;
  };
  const expected = train("first.safetensors");
  const names = renameBundle(join(folder, "bundle"));
  const found = train("second.safetensors");
  expect([...found.keys()].filter((name) => expected.has(name))).toEqual([]);
  expect([...found.keys()].map((name) => names.get(name))).toEqual([...expected.keys()]);
  for (const [name, { data }] of found)
    expect(Buffer.compare(data, expected.get(names.get(name) ?? "")?.data ?? new Uint8Array()), name).toBe(0);
});

test("the driver refuses what it cannot train on to the bit, saying what", async (context) => {
  const program = driverPython(context);
  await using data = await makeTinyData();
  const { folder } = data;
  expect((await runCli(folder, ["compile", "spec.yml", "-o", "bundle"])).code).toBe(0);
  const refusal = (): string => {
    const { status, stderr } = runPython(program, [DRIVER, "bundle", "train.csv", "out"], folder);
    expect(status).toBe(1);
    return stderr;
  };
  const path = join(folder, "images", "train-3.png");
  const original = readFileSync(path);
  const alpha = await sharp(original).ensureAlpha(0.5).png().toBuffer();
  for (const changed of [await sharp(original).resize(17, 16).png().toBuffer(), alpha]) {
    writeFileSync(path, changed);
    expect(refusal()).toMatch(
      /^images\/train-3\.png: expected a plain image of mode L or RGB and size \(16, 16\)\n$/,
    );
  }
  writeFileSync(path, original);
  const manifest = JSON.parse(readFileSync(join(folder, "bundle", "manifest.json"), "utf8"));
  const [task, ...tasks] = manifest.tasks;
  for (const change of [{ version: 99 }, { tasks: [{ ...task, kind: "ordinal" }, ...tasks] }]) {
    writeFileSync(join(folder, "bundle", "manifest.json"), JSON.stringify({ ...manifest, ...change }));
    expect(refusal()).toBe("bundle: expected a bundle of version 2 with tasks of classes, numbers or tags\n");
  }
});

/** Replaces the images of a folder by their grey. */
async function makeGrey(folder: string): Promise<void> {
  for (const name of readdirSync(folder)) {
    const grey = sharp(readFileSync(join(folder, name)))
      .greyscale()
      .toColourspace("b-w");
    writeFileSync(join(folder, name), await grey.png().toBuffer());
  }
}

/** What a bundle expects to have been done to the images that it is given; undefined without augmentation. */
function loaderOperations(...path: readonly string[]): readonly string[] | undefined {
  return JSON.parse(readFileSync(join(...path, "manifest.json"), "utf8")).augment?.loader;
}

/** |a - b| / |b| of two tensors; 0 where both are zero. */
function distance(a: StoredTensor | undefined, b: StoredTensor): number {
  const [found, wanted] = [numbersOf(a), numbersOf(b)];
  expect(found.length).toBe(wanted.length);
  const norm = (values: readonly number[]): number => Math.hypot(...values);
  const difference = norm(found.map((value, i) => value - (wanted[i] ?? Number.NaN)));
  return difference === 0 ? 0 : difference / norm(wanted);
}

function numbersOf(tensor: StoredTensor | undefined): number[] {
  const bytes = new Uint8Array(tensor?.data ?? []);
  if (tensor?.dtype === "int64") return Array.from(new BigInt64Array(bytes.buffer), Number);
  return [...new Float32Array(bytes.buffer)];
}
