// What an exported file says of itself and how its parts go together: convolutions with their kernel_shape,
// metadata of where the model comes from and how images are read, parts that onnx.compose can join (and does,
// where Python has the package onnx).
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { decodeModelProto, type ModelProto } from "../../compiler/codec/protobuf.ts";
import { METADATA_KEY, readMetadata } from "../../compiler/export/modelMetadata.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { type Prediction, Predictor } from "../../runtime/export/predictor.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { pythonWith } from "../python.ts";
import { trainedTiny } from "./trainedTiny.ts";

let data: TinyData;
const folder = (): string => join(data.folder, "run", "export");
const read = (name: string): ModelProto => decodeModelProto(readFileSync(join(folder(), name)));

beforeAll(async () => {
  data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder, { separable: true });
  await exportRun(trainer, { split: true });
});
afterAll(() => data[Symbol.asyncDispose]());

test("every convolution says its kernel_shape, as onnxruntime-web's WebGPU asks", () => {
  const nodes = read("model.onnx").graph.node.filter(({ opType }) => opType === "Conv");
  expect(nodes.length).toBeGreaterThan(2);
  for (const { attribute } of nodes) {
    const shape = attribute?.find(({ name }) => name === "kernel_shape")?.ints;
    expect(shape).toHaveLength(2);
    expect([1, 3]).toContain(shape?.[0]);
  }
});

test("a file says which mttc made it of which run, epoch and day, and how images are read", () => {
  const { version } = JSON.parse(readFileSync(join(PROJECT_ROOT, "package.json"), "utf8"));
  const metadata = readMetadata(read("colour.onnx").metadataProps ?? [], "colour.onnx");
  expect(metadata.origin).toMatchObject({ mttc: version, run: "run", epoch: 1 });
  expect(new Date(metadata.origin?.date ?? "").getFullYear()).toBeGreaterThan(2000);
  expect(metadata.reading).toMatchObject({ orientation: "exif", alpha: "onto white", grey: "no" });
  expect(metadata.reading?.resize).toMatch(/^lanczos3/);
});

test("export.json holds the metadata of every file, word for word", () => {
  const { models, files } = JSON.parse(readFileSync(join(folder(), "export.json"), "utf8"));
  const names = Object.keys(models);
  expect([...names, "export.json"].sort()).toEqual([...files].sort());
  expect(names).toHaveLength(7);
  for (const name of names) {
    const [entry] = read(name).metadataProps ?? [];
    expect(JSON.parse(entry?.value ?? "")).toEqual(models[name]);
  }
});

test("an export of an older mttc, which says neither, still opens", () => {
  const [entry] = read("model.onnx").metadataProps ?? [];
  const { reading: _, origin: __, ...old } = JSON.parse(entry?.value ?? "");
  const value = JSON.stringify(old);
  expect(readMetadata([{ key: METADATA_KEY, value }], "old.onnx").tasks).toHaveLength(2);
});

test("rules of reading that this mttc does not know are refused", () => {
  const [entry] = read("model.onnx").metadataProps ?? [];
  const metadata = JSON.parse(entry?.value ?? "");
  metadata.reading.version = 2;
  const props = [{ key: METADATA_KEY, value: JSON.stringify(metadata) }];
  expect(() => readMetadata(props, "new.onnx")).toThrow(/reading.version/);
});

test("the parts have keys of their own, equal opsets, and names that lead from one to the next", () => {
  const names = ["trunk", "shared", "head-colour", "head-its_shape"];
  const models = names.map((name) => read(`${name}.onnx`));
  const keys = models.flatMap(({ metadataProps = [] }) => metadataProps.map(({ key }) => key));
  expect(keys).toEqual(["mttc.trunk", "mttc.shared", "mttc.head.colour", "mttc.head.its shape"]);
  const [trunk, shared, head] = models;
  expect(
    new Set(models.map(({ irVersion, opsetImport }) => JSON.stringify([irVersion, opsetImport]))).size,
  ).toBe(1);
  expect(shared?.graph.input).toEqual(trunk?.graph.output);
  expect(head?.graph.input).toEqual(shared?.graph.output);
});

test("what onnx.compose joins of the parts predicts what the whole model does", async (context) => {
  const python = pythonWith("onnx");
  if (python === undefined) return context.skip("no python with the package onnx");
  const joined = mkdtempSync(join(tmpdir(), "mttc-joined-"));
  const file = join(joined, "joined.onnx");
  const script = `
import onnx, sys
from onnx.compose import merge_models
folder, out = sys.argv[1:]
load = lambda name: onnx.load(f"{folder}/{name}.onnx")
model = merge_models(load("trunk"), load("shared"), io_map=[("features", "features")])
model = merge_models(model, load("head-colour"), io_map=[("shared_features", "shared_features")])
onnx.checker.check_model(model, full_check=True)
onnx.save(model, out)`;
  const { status, stderr } = spawnSync(python, ["-c", script, folder(), file], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
  const images = [0, 1, 2, 3].map((i) => join(data.folder, "images", `val-${i}.png`));
  const [ours, theirs] = await Promise.all(
    [join(folder(), "colour.onnx"), file].map(async (path) => {
      await using predictor = await Predictor.open(path);
      const rows: Prediction[] = [];
      for await (const row of predictor.predict(images)) rows.push(row);
      return rows;
    }),
  );
  expect(theirs?.map((row) => [row.task, row.class])).toEqual(ours?.map((row) => [row.task, row.class]));
  for (const [i, row] of (ours ?? []).entries())
    expect(Math.abs(Number(row.probability) - Number(theirs?.[i]?.probability))).toBeLessThan(
      PARITY_TOLERANCE,
    );
  rmSync(joined, { recursive: true });
});

test("joined parts are a whole model, parts alone are none", () => {
  const models = ["trunk", "shared", "head-colour", "head-its_shape"].map((name) => read(`${name}.onnx`));
  const props = models.flatMap(({ metadataProps = [] }) => metadataProps);
  const metadata = readMetadata(props, "joined.onnx");
  expect(metadata.kind).toBe("model");
  expect(metadata.tasks.map(({ name }) => name)).toEqual(["colour", "its shape"]);
  expect(readMetadata(props.slice(1, 2), "shared.onnx").kind).toBe("shared");
});
