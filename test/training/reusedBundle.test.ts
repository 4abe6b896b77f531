// A run that is gone on with takes the bundle in its folder where that is up to date, and compiles anew where
// it is not; either way it ends with the same bits. `mttc compile` does the same.
import { createHash } from "node:crypto";
import { appendFile, cp, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { train, trainedData } from "../runs/trainedData.ts";

let data: TinyData;
const copies: string[] = [];

beforeAll(async () => {
  data = await trainedData();
});
afterAll(async () => {
  await data[Symbol.asyncDispose]();
  for (const copy of copies) await rm(copy, { recursive: true, force: true });
});

/** A copy of the data set with its run of two epochs. */
async function copyOfData(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "mttc-test-"));
  copies.push(copy);
  await cp(data.folder, copy, { recursive: true, preserveTimestamps: true });
  return copy;
}

/** Trains a third epoch and returns a hash of all parameters. */
async function goOn(
  folder: string,
  changes: Readonly<Record<string, string>> = {},
  runtime: { readonly autotune?: boolean } = {},
): Promise<string> {
  const file = join(folder, "spec.yml");
  const experiment = experimentFromSpec(parseSpec(tinySpec(changes), file), file);
  await using trainer = new MultiTaskTrainer(experiment, { threads: 1, ...runtime });
  await trainer.fit(3, { resume: true });
  const hash = createHash("sha256");
  for (const [name, values] of await trainer.parameters()) hash.update(name).update(values);
  return hash.digest("hex");
}

const inBundle = (folder: string, file: string): string => join(folder, "run", "bundle", file);

/** Which file a graph is, and when it was written. */
async function stampOf(folder: string): Promise<string> {
  const { ino, mtimeMs } = await stat(inBundle(folder, "evaluate.onnx"));
  return `${ino} ${mtimeMs}`;
}

describe("a run that is gone on with", () => {
  let expected: string;
  beforeAll(async () => {
    const folder = await copyOfData();
    await rm(join(folder, "run", "bundle"), { recursive: true });
    expected = await goOn(folder);
  });

  test("takes the bundle that lies there, and ends with the bits of a compilation", async () => {
    const folder = await copyOfData();
    const before = await stampOf(folder);
    expect(await goOn(folder)).toBe(expected);
    expect(await stampOf(folder)).toBe(before);
  });

  test.each([
    ["a graph is damaged", "train.onnx"],
    ["the graph of evaluation is damaged", "evaluate.onnx"],
    ["the manifest is damaged", "manifest.json"],
  ])("compiles anew where %s, to the same bits", async (_, file) => {
    const folder = await copyOfData();
    const before = await stampOf(folder);
    const bytes = await readFile(inBundle(folder, file));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(inBundle(folder, file), bytes);
    expect(await goOn(folder)).toBe(expected);
    expect(await stampOf(folder)).not.toBe(before);
  });

  test("compiles anew for a spec with any key changed, though the checkpoint takes it", async () => {
    const folder = await copyOfData();
    const before = await stampOf(folder);
    expect(await goOn(folder, { epochs: "7" })).toBe(expected);
    expect(await stampOf(folder)).not.toBe(before);
    const manifest = JSON.parse(await readFile(inBundle(folder, "manifest.json"), "utf8"));
    expect(manifest.spec.epochs).toBe(7);
  });

  test("compiles anew where forms are measured", async () => {
    const folder = await copyOfData();
    const before = await stampOf(folder);
    const kept = process.env.XDG_CACHE_HOME;
    process.env.XDG_CACHE_HOME = folder;
    try {
      await goOn(folder, {}, { autotune: true });
    } finally {
      if (kept === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = kept;
    }
    expect(await stampOf(folder)).not.toBe(before);
    const manifest = JSON.parse(await readFile(inBundle(folder, "manifest.json"), "utf8"));
    // What was measured is not known before it is looked up again.
    expect(manifest.compiled).toBeUndefined();
  });
});

describe("mttc compile", () => {
  const MODEL = new URL("../fixtures/import/groups-18.onnx", import.meta.url);

  test("compiles again where spec, classes or model are others, or a file is damaged, and else not", async () => {
    await using tiny = await makeTinyData();
    const { folder } = tiny;
    const model = await readFile(MODEL);
    await writeFile(join(folder, "trunk.onnx"), model);
    const spec = (changes: Readonly<Record<string, string>> = {}) =>
      writeFile(join(folder, "spec.yml"), tinySpec({ fcn: "trunk.onnx", ...changes }));
    const compiles = async (): Promise<boolean> => {
      const run = await runCli(folder, ["compile", "spec.yml", "-o", "bundle", "--json"]);
      expect([run.code, run.stderr]).toEqual([0, expect.any(String)]);
      return !JSON.parse(run.stdout).upToDate;
    };
    await spec();
    expect(await compiles()).toBe(true);
    expect(await compiles()).toBe(false);
    await spec({ lr: "0.5" });
    expect([await compiles(), await compiles()]).toEqual([true, false]);
    await appendFile(join(folder, "train.csv"), "images/train-0.png,green,,99\n");
    expect([await compiles(), await compiles()]).toEqual([true, false]);
    const [weights] = decodeModelProto(model).graph?.initializer ?? [];
    // A view of the file: one number is another, the size the same.
    if (weights?.rawData) weights.rawData[1] = (weights.rawData[1] ?? 0) ^ 1;
    await writeFile(join(folder, "trunk.onnx"), model);
    expect([await compiles(), await compiles()]).toEqual([true, false]);
    await writeFile(join(folder, "bundle", "state.safetensors"), "");
    expect([await compiles(), await compiles()]).toEqual([true, false]);
    const text = await runCli(folder, ["compile", "spec.yml", "-o", "bundle"]);
    expect(text.stdout).toContain("Up to date, nothing was compiled: bundle");
    const timed = await runCli(folder, ["compile", "spec.yml", "-o", "bundle", "--timing"]);
    expect(timed.stdout).toMatch(/Compiled in \d+ ms/);
  }, 60_000);
});

describe("the bundle of a run", () => {
  const graphsIn = async (folder: string): Promise<string[]> => {
    const manifest = JSON.parse(await readFile(inBundle(folder, "manifest.json"), "utf8"));
    return Object.keys(manifest.graphs);
  };

  test("has the graphs that the run uses, and no initial state", async () => {
    expect(await graphsIn(data.folder)).toEqual(["train", "evaluate"]);
    expect(await stat(inBundle(data.folder, "state.safetensors")).catch(() => undefined)).toBeUndefined();
    await using micro = await makeTinyData();
    await train(micro.folder, 1, { accumulate: "2" });
    expect(await graphsIn(micro.folder)).toEqual(["grad", "apply", "evaluate"]);
  });
});
