// The command line from end to end on a tiny data set: a spec is drafted, inspected, compiled, trained,
// evaluated, exported and used; results go to stdout, progress to stderr.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { runCli } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

let data: TinyData;
const mttc = (...args: string[]) => runCli(data.folder, args);

beforeAll(async () => {
  data = await makeTinyData();
  const { code, stderr } = await mttc("train", "spec.yml");
  expect(stderr).toContain("epoch 2/2");
  expect(code).toBe(0);
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
});

test("train says where the run lies, what the last epoch reached and what to do next", async () => {
  await writeFile(join(data.folder, "once.yml"), tinySpec({ logdir: "once" }));
  const { code, stdout, stderr } = await mttc("train", "once.yml", "--epochs", "1");
  expect(code).toBe(0);
  expect(stdout).toContain("1 epoch is trained");
  expect(stdout).toMatch(/task +(weight +)?loss +acc +val loss +val acc +majority +recall +majority/);
  expect(stdout).toMatch(/\nNext: +mttc evaluate once\n +mttc export once\n/);
  expect(stderr).toMatch(/epoch 1\/1: 3 steps/);
  const resumed = await mttc("train", "once.yml", "--resume", "--json");
  expect(resumed.code).toBe(0);
  const [line, ...more] = resumed.stdout.trimEnd().split("\n");
  expect(more).toEqual([]);
  expect(JSON.parse(line ?? "")).toMatchObject({ epoch: 2, steps: 3 });
});

test("a run that exists is not overwritten", async () => {
  const { code, stderr } = await mttc("train", "spec.yml");
  expect(code).toBe(2);
  expect(stderr).toContain("E_RUN_EXISTS");
});

test("Ctrl-C saves, exits with 130, and the run can be gone on with", async () => {
  await writeFile(join(data.folder, "long.yml"), tinySpec({ logdir: "long", epochs: "10000" }));
  const stopped = await runCli(data.folder, ["train", "long.yml"], { interruptAt: "epoch 2/" });
  expect(stopped.stderr).toContain("E_INTERRUPTED");
  expect(stopped.code).toBe(130);
  const saved = (await readdir(join(data.folder, "long", "checkpoints"))).length;
  expect(saved).toBeGreaterThan(0);
  const done = Number(/interrupted in epoch (\d+)/.exec(stopped.stderr)?.[1]);
  const resumed = await mttc("train", "long.yml", "--resume", "--epochs", String(done));
  expect(resumed.stderr).toMatch(/resumed from .*: epochs trained: \d+(, [1-9]\d* steps of the next)?\n/);
  expect(resumed.code).toBe(0);
});

test("evaluate prints figures beside the majority, and confusion matrices", async () => {
  const { code, stdout } = await mttc("evaluate", "run");
  expect(code).toBe(0);
  expect(stdout).toContain("12 images of the validation labels");
  expect(stdout).toMatch(/colour +10 +\d\.\d+ +\d\.\d+ +0\.500 /);
  expect(stdout).toMatch(/its shape: true class \(rows\) and prediction \(columns\)\n +bar +dot +ring\nbar /);
  const json = JSON.parse((await mttc("evaluate", "run", "--json")).stdout);
  expect(json.tasks.colour.classes).toEqual(["blue", "red"]);
  expect(json.tasks.colour.confusion.flat().reduce((sum: number, n: number) => sum + n, 0)).toBe(10);
});

test("export writes files that agree with the trainer, and predict runs them", async () => {
  const exported = await mttc("export", "run", "--split", "-o", "models");
  expect(exported.code).toBe(0);
  expect(exported.stdout).toMatch(/Compared with the trainer on 12 images: largest difference \d\.\d+e-\d+/);
  expect((await readdir(join(data.folder, "models"))).sort()).toEqual([
    "colour.onnx",
    "export.json",
    "head-colour.onnx",
    "head-its_shape.onnx",
    "its_shape.onnx",
    "model.onnx",
    "shared.onnx",
    "trunk.onnx",
  ]);
  const table = await mttc("predict", "models/model.onnx", "images/val-0.png", "images/val-1.png");
  expect(table.code).toBe(0);
  expect(table.stdout.trimEnd().split("\n").length).toBe(5);
  expect(table.stdout).toMatch(/images\/val-1\.png +its shape +(bar|dot|ring) +0\.\d{3}/);
  const csv = await mttc("predict", "models/colour.onnx", "images", "--csv", "out.csv", "--json", "-");
  expect(csv.code).toBe(0);
  const rows = JSON.parse(csv.stdout) as { class: string; probabilities: Record<string, number> }[];
  expect(rows.length).toBe(48);
  expect(Object.keys(rows[0]?.probabilities ?? {})).toEqual(["blue", "red"]);
  const text = await readFile(join(data.folder, "out.csv"), "utf8");
  expect(text.split("\r\n")[0]).toBe("file,task,class,probability,probabilities");
  expect(text.trimEnd().split("\r\n").length).toBe(49);
});

test("an export goes only into a folder of its own", async () => {
  const { code, stderr } = await mttc("export", "run", "-o", ".");
  expect(code).toBe(2);
  expect(stderr).toContain("files that mttc did not write");
  expect(await readdir(data.folder)).toContain("train.csv");
});

test("predict refuses a part of a split export and a model that mttc did not export", async () => {
  await mttc("export", "run", "--split");
  const part = await mttc("predict", "run/export/trunk.onnx", "images");
  expect([part.code, part.stderr]).toEqual([2, expect.stringContaining("E_MODEL_META")]);
  const foreign = await mttc("predict", "run/bundle/evaluate.onnx", "images");
  expect([foreign.code, foreign.stderr]).toEqual([2, expect.stringContaining("E_MODEL_META")]);
  const none = await mttc("predict", "train.csv", "images");
  expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/train\.csv.*E_MODEL_PARSE/)]);
});

test("inspect of a bundle shows what its graphs take and give, by role", async () => {
  await mttc("compile", "spec.yml", "-o", "shown");
  const { code, stdout } = await mttc("inspect", "shown");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^A bundle for cpu, batches of \d+\n/);
  expect(stdout).toMatch(/Graph train \(train\)\n/);
  expect(stdout).toMatch(/\n *in +state +\d+ tensors +as they are\n/);
  expect(stdout).toMatch(/in +label +label\/\S+ +int64\[\d+\] +class_index, -1 where it is missing\n/);
  expect(stdout).toMatch(/in +scalar +learning_rate +float32\[\] +learning_rate: constant 0\.\d+\n/);
  expect(stdout).toMatch(/out +figure +loss_sum\/\S+ +float32\[\] +loss_sum of \S+\n/);
  expect(stdout).toMatch(/out +prediction +probabilities\/\S+ +float32\[\d+,\d+\]/);
  const json = await mttc("inspect", "shown", "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({ version: 2, graphs: { train: { purpose: "train" } } });
  const staged = await mttc("inspect", "shown", "--stage", "train");
  expect([staged.code, staged.stderr]).toEqual([2, expect.stringContaining("E_USAGE")]);
  const manifest = join(data.folder, "shown", "manifest.json");
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace('"version": 2', '"version": 4'));
  const later = await mttc("inspect", "shown");
  expect([later.code, later.stderr]).toEqual([2, expect.stringContaining("update mttc")]);
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace('"role": "label"', '"role": "lable"'));
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace('"version": 4', '"version": 2'));
  const misspelt = await mttc("inspect", "shown");
  expect([misspelt.code, misspelt.stderr]).toEqual([2, expect.stringMatching(/E_BUNDLE/)]);
});

test("compile writes a bundle, and MTTC_DUMP the graph after every stage", async () => {
  const args = ["compile", "spec.yml", "-o", "bundle", "--timing"];
  const { code, stdout } = await runCli(data.folder, args, { env: { MTTC_DUMP: "dump" } });
  expect(code).toBe(0);
  expect(stdout).toMatch(/\n {2}5-final +\d/);
  expect(await readdir(join(data.folder, "bundle"))).toEqual(
    expect.arrayContaining(["train.onnx", "grad.onnx", "apply.onnx", "evaluate.onnx", "manifest.json"]),
  );
  const dumps = (await readdir(join(data.folder, "dump"))).sort();
  expect(dumps[0]).toBe("001-train-1-built.txt");
  expect(dumps.at(-1)).toMatch(/^\d+-evaluate-5-final\.txt$/);
  expect(await readFile(join(data.folder, "dump", dumps[0] ?? ""), "utf8")).toMatch(/^graph train\n/);
});

test("inspect shows parameters, reach and one graph", async () => {
  const { stdout } = await mttc("inspect", "spec.yml");
  expect(stdout).toMatch(/\nfcn +112 +0 /);
  expect(stdout).toMatch(/its shape +3 +cross-entropy +adaptive +fcn, shared_layers, tasks\.its shape/);
  const json = JSON.parse((await mttc("inspect", "run", "--json")).stdout);
  expect(json.layers[0]).toMatchObject({ origin: "fcn.layers[0]", shape: [4, 16, 16] });
  const graph = await mttc("inspect", "spec.yml", "--stage=evaluate", "--at", "tasks.colour.dense");
  expect(graph.stdout.split("\n").every((line) => line === "" || line.endsWith("; tasks.colour.dense"))).toBe(
    true,
  );
  expect(graph.stdout).toContain(" = Gemm ");
  const placement = await mttc("inspect", "spec.yml", "--placement", "--ep", "cpu");
  expect(placement.stdout).toMatch(/^Graph train\noperator +CPUExecutionProvider\nAdd +[1-9]/);
  expect(placement.stdout).not.toContain("Left to the CPU");
  const unknown = await mttc("inspect", "spec.yml", "--stage=trian");
  expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("train/1-built")]);
});

test("init drafts a spec that says what the table holds, and never overwrites", async () => {
  const drafted = await mttc("init", "train.csv", "-o", "drafts/new.yml", "--val", "val.csv");
  expect(drafted.code).toBe(0);
  const text = await readFile(join(data.folder, "drafts", "new.yml"), "utf8");
  expect(text).toContain("  - its shape  # 31 of 36 rows, 3 classes: bar 10, dot 10, ring 11");
  expect(text).toContain("#   serial: 36 different values in 36 rows");
  const spec = parseSpec(text, "new.yml");
  expect(spec).toMatchObject({
    train_labels: "../train.csv",
    val_labels: "../val.csv",
    filepaths: "file",
    tasks: ["colour", "its shape"],
    imshape: [16, 16],
  });
  const compiled = await mttc("inspect", "drafts/new.yml");
  expect(compiled.code).toBe(0);
  const again = await mttc("init", "train.csv", "-o", "drafts/new.yml");
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining("exists already")]);
});

test("schema is JSON that knows every key, or a table", async () => {
  const schema = JSON.parse((await mttc("schema")).stdout);
  expect(Object.keys(schema.properties)).toContain("task_weights");
  expect((await mttc("schema", "--markdown")).stdout).toContain("| `task_weights` |");
});

test("a command line that is not understood is exit code 2, help and version are 0", async () => {
  expect((await mttc("train")).code).toBe(2);
  expect((await mttc("train", "spec.yml", "--epochs", "0")).code).toBe(2);
  expect((await mttc("tain", "spec.yml")).stderr).toContain("Did you mean train?");
  expect((await mttc("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await mttc("train", "--help")).code).toBe(0);
});
