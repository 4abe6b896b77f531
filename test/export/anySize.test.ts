// Files for images of any size: exported, compared with the trainer, predicted with and explained; what their
// metadata say; and what is refused by name.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { decodeModelProto, encodeModelProto, type ModelProto } from "../../compiler/codec/protobuf.ts";
import { refuseAnySize } from "../../compiler/export/anySize.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { Predictor } from "../../runtime/export/predictor.ts";
import { ODD_PICTURES } from "../../runtime/export/readerVectors.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { ANY_SIZE_ANSWERS } from "../tolerances.ts";
import { trainedTiny } from "./trainedTiny.ts";

const PICTURES = join(PROJECT_ROOT, "runtime", "export", "readerVectors");

/** Upright PNGs of odd sizes: what training reads of them, the graph computes to the bit. */
async function plainPictures(): Promise<{ name: string; bytes: Uint8Array }[]> {
  const sizes = [
    [16, 16],
    [8, 8],
    [17, 40],
    [100, 9],
    [333, 257],
  ] as const;
  const source = await readFile(join(PICTURES, "large.jpg"));
  return await Promise.all(
    sizes.map(async ([height, width]) => ({
      name: `${height}x${width}`,
      bytes: await sharp(source).resize(width, height, { fit: "fill" }).png().toBuffer(),
    })),
  );
}

/** By image the bare numbers of all tasks. */
async function numbersOf(predictor: Predictor, images: Parameters<Predictor["see"]>[0]) {
  const seen = [];
  for await (const image of predictor.see(images)) seen.push(image);
  return seen;
}

test.each([
  ["RGB", {}],
  ["grey in three channels", { single_channel: true }],
  ["grey in one channel", { num_channels: 1 }],
] as const)("a file for any size answers as the file for one size: %s", async (_, changes) => {
  await using data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder, changes);
  const one = await exportRun(trainer, { directory: join(data.folder, "one") });
  const any = await exportRun(trainer, { directory: join(data.folder, "any"), anySize: true, heatmaps: {} });
  expect(any.checks.map(({ file }) => file)).toContain("its_shape.onnx");
  for (const { largestDifference } of any.checks)
    expect(largestDifference).toBeLessThanOrEqual(PARITY_TOLERANCE);
  await using fixed = await Predictor.open(one.directory);
  await using free = await Predictor.open(any.directory);
  const pictures = await plainPictures();
  const [wanted, found] = [await numbersOf(fixed, pictures), await numbersOf(free, pictures)];
  expect(found.map(({ file, height, width }) => [file, `${height}x${width}`])).toEqual(
    pictures.map(({ name }) => [name, name]),
  );
  for (const [i, { numbers }] of found.entries())
    for (const [task, values] of numbers)
      for (const [k, value] of values.entries())
        expect(Math.abs(value - (wanted[i]?.numbers.get(task)?.[k] ?? 1))).toBeLessThanOrEqual(
          ANY_SIZE_ANSWERS,
        );
  for await (const { height, width, answers } of free.explain(pictures.slice(2, 3))) {
    expect([height, width]).toEqual([17, 40]);
    expect(answers.map(({ heatmap }) => [heatmap.height, heatmap.width])).toEqual([
      [8, 8],
      [8, 8],
    ]);
  }
});

test("metadata have version 3 and say who resizes; the caller makes no grey", async () => {
  await using data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder, { num_channels: 1 });
  const { directory } = await exportRun(trainer, { anySize: true, calibrate: true, readerVectors: true });
  const { models } = JSON.parse(await readFile(join(directory, "export.json"), "utf8"));
  for (const { version, preprocessing, reading } of Object.values<Record<string, never>>(models)) {
    expect(version).toBe(3);
    expect(preprocessing).toMatchObject({
      ...{ height: 16, width: 16, channels: 3, greyscale: false, dtype: "uint8", resize: "graph" },
    });
    expect(reading).toMatchObject({
      version: 1,
      order: ["orientation", "bits", "profile", "alpha"],
      rules: { orientation: { turn: "before the graph" }, grey: { by: "graph" }, resize: { by: "graph" } },
    });
  }
  const vectors = JSON.parse(await readFile(join(directory, "reader-vectors", "vectors.json"), "utf8"));
  expect(vectors.size).toBe(null);
  const sizes = await Promise.all(
    vectors.images.map(async ({ seen }: { seen: string }) => {
      const bytes = await readFile(join(directory, "reader-vectors", seen));
      const { width, height } = await sharp(bytes).metadata();
      return [seen, width, height];
    }),
  );
  expect(sizes).toHaveLength(ODD_PICTURES.length);
  expect(sizes).toContainEqual(["seen/turned-6.png", 60, 96]);
  expect(sizes).toContainEqual(["seen/large.png", 1023, 770]);
});

test("the commands export, predict with and explain such a file; --split is refused", async () => {
  await using data = await makeTinyData();
  await (await trainedTiny(data.folder)).close();
  const mttc = (...args: string[]) => runCli(data.folder, args);
  const exported = await mttc("export", "run", "--any-size", "--heatmap", "--calibrate", "--reader-vectors");
  expect([exported.code, exported.stderr]).toEqual([0, expect.stringContaining("12 odd pictures")]);
  const pictures = "run/export/reader-vectors";
  const predicted = await mttc("predict", "run/export/colour.onnx", `${pictures}/*.jpg`, "--json", "-");
  expect([predicted.code, JSON.parse(predicted.stdout).length]).toEqual([0, 4]);
  const images = ["large.jpg", "turned-5.png"].map((name) => `${pictures}/${name}`);
  const explained = await mttc("explain", "run/export/model.onnx", ...images, "-o", "why.png");
  expect([explained.code, explained.stderr]).toEqual([0, expect.stringContaining("heat maps of 2 images")]);
  const embedded = await mttc("embed", "run/export/model.onnx", pictures, "-o", "vectors.npy");
  expect([embedded.code, embedded.stderr]).toEqual([2, expect.stringContaining("exported with --any-size")]);
  const refused = await mttc("export", "run", "--any-size", "--split");
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("parts of a split export")]);
});

test("one bad image costs its own rows alone", async () => {
  await using data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder);
  const { directory } = await exportRun(trainer, { anySize: true });
  await using predictor = await Predictor.open(directory);
  const [good] = await plainPictures();
  const small = await sharp({ create: { width: 7, height: 30, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  const broken = (await readFile(join(PICTURES, "large.jpg"))).subarray(0, 3000);
  const images = [
    ...[
      { name: "small", bytes: small },
      { name: "broken", bytes: broken },
      { name: "good", bytes: good?.bytes ?? small },
    ],
    { name: "text", bytes: new TextEncoder().encode("no image at all") },
  ];
  const faults: string[] = [];
  const rows: string[] = [];
  const onFault = ({ file, error }: { file: string; error: { code: string } }): void => {
    faults.push(`${file} ${error.code}`);
  };
  for await (const { file } of predictor.predict(images, { onFault })) rows.push(file);
  expect(faults).toEqual(["small E_IMG_SIZE", "broken E_IMG_TRUNCATED", "text E_IMG_FORMAT"]);
  expect(rows).toEqual(["good", "good"]);
});

test("what cannot be is refused by name", async () => {
  await using data = await makeTinyData();
  const deep = { bit_depth: 16, norm: 65_535 } as const;
  const wanted = [
    [deep, {}, "bit_depth 16"],
    [{}, { split: true }, "parts of a split export"],
  ] as const;
  for (const [changes, options, text] of wanted) {
    await using trainer = await trainedTiny(data.folder, { ...changes, logdir: text.replaceAll(" ", "-") });
    const [fault] = await faultsOfAsync(() => exportRun(trainer, { anySize: true, ...options }));
    expect(fault).toMatchObject({ code: "E_USAGE" });
    expect(fault?.message).toContain(text);
  }
  const labels = { train_labels: "a.csv", filepaths: "file", tasks: ["colour"], logdir: "run" };
  const rgba = resolveSpec({ ...labels, imshape: [16, 16], fcn: { layers: [4] }, num_channels: 4 });
  expect(() => refuseAnySize(rgba, false)).toThrow("num_channels 4");
});

test("a file whose metadata and input disagree is refused before it is opened", async () => {
  await using data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder);
  const { directory } = await exportRun(trainer, { anySize: true });
  const path = join(directory, "model.onnx");
  const model = decodeModelProto(await readFile(path));
  const [prop] = model.metadataProps ?? [];
  const metadata = JSON.parse(prop?.value ?? "{}");
  const image = (dims: readonly (number | string)[]): ModelProto => ({
    ...model,
    graph: {
      ...model.graph,
      input: [
        {
          name: "image",
          type: {
            tensorType: {
              elemType: 2,
              shape: {
                dim: dims.map((dim) => (typeof dim === "number" ? { dimValue: dim } : { dimParam: dim })),
              },
            },
          },
        },
      ],
    },
  });
  const told = (change: (metadata: typeof prop) => unknown): ModelProto => ({
    ...model,
    metadataProps: [{ key: "mttc", value: JSON.stringify(change(structuredClone(metadata))) }],
  });
  const preprocessed = (changes: object) =>
    told(() => ({ ...metadata, preprocessing: { ...metadata.preprocessing, ...changes } }));
  const wanted: [ModelProto, string][] = [
    [image([1, 16, "W", 3]), "RGB of any size"],
    [image(["N", "H", "W", 3]), "RGB of any size"],
    [image([2, "H", "W", 3]), "RGB of any size"],
    [image([1, "H", "W", 4]), "uint8 [1,"],
    [preprocessed({ channels: 4 }), "RGB of any size"],
    [preprocessed({ dtype: "uint16" }), "RGB of any size"],
    [preprocessed({ greyscale: true }), "RGB of any size"],
    [preprocessed({ resize: "caller, perhaps" }), "preprocessing.resize"],
    [told(() => ({ ...metadata, version: 4 })), "version"],
  ];
  for (const [changed, text] of wanted) {
    const file = join(data.folder, "changed.onnx");
    await writeFile(file, encodeModelProto(changed));
    const [fault] = await faultsOfAsync(async () => {
      await using opened = await Predictor.open(file);
      return opened;
    });
    expect([text, fault?.code]).toEqual([text, "E_MODEL_META"]);
    expect(fault?.message).toContain(text);
  }
});
