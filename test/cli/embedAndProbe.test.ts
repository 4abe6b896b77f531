// `mttc embed` and `mttc probe` as a user runs them, on a tiny run, its export and a Keras model.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageReader, imageFormat } from "../../runtime/images/images.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { ORT_FLOAT32 } from "../tolerances.ts";
import { runCli } from "./runCli.ts";
import { COLOURS, makeTinyData, SHAPES, type TinyData } from "./tinyData.ts";

const KERAS = join(import.meta.dirname, "..", "..", "examples", "patchwork", "my_pretrained_extractor.h5");
let data: TinyData;
const mttc = (...args: string[]) => runCli(data.folder, [...args, "--ep", "cpu"]);
const at = (name: string): string => join(data.folder, name);

beforeAll(async () => {
  data = await makeTinyData({ epochs: "1" });
  expect((await mttc("train", "spec.yml")).code).toBe(0);
  expect((await runCli(data.folder, ["export", "run", "--split"])).code).toBe(0);
});
afterAll(() => data[Symbol.asyncDispose]());

/** The numbers of a .npy file of float32. */
function numbersOf(file: string): Float32Array {
  return new Float32Array(new Uint8Array(readFileSync(file).subarray(128)).buffer);
}

describe("mttc embed", () => {
  it("writes the means of what the exported trunk gives, row by row with the labels as read", async () => {
    const before = readdirSync(at("run")).sort();
    const { code, stdout } = await mttc("embed", "run", "val.csv", "-o", "out/v.parquet");
    expect([code, stdout]).toEqual([0, expect.stringContaining("12 vectors of 4 numbers")]);
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(at("out/v.parquet")) });
    expect(rows.map(({ serial }) => serial)).toEqual(Array.from({ length: 12 }, (_, i) => `n${i}`));
    expect(rows.map(({ colour }) => colour ?? "")).toEqual(
      Array.from({ length: 12 }, (_, i) => (i % 5 === 4 ? "" : COLOURS[i % 2])),
    );
    expect(rows[0]?.["its shape"]).toBe(SHAPES[0]);
    const expected = await trunkMeans(rows.map(({ file }) => at(String(file))));
    for (const [row, { vector }] of rows.entries())
      for (const [i, value] of (vector as number[]).entries())
        expect(Math.abs(value - (expected[row]?.[i] ?? Number.NaN))).toBeLessThan(ORT_FLOAT32);
    // A run that is read stays as it is.
    expect(readdirSync(at("run")).sort()).toEqual(before);
  });

  it("writes .npy with the rows beside it, the same numbers, and replaces what it wrote alone", async () => {
    expect((await mttc("embed", "spec.yml", "val.csv", "-o", "v.npy")).code).toBe(0);
    const lines = readFileSync(at("v.csv"), "utf8").split("\n");
    expect(lines.slice(0, 2)).toEqual(["row,file,colour,its shape,serial", "0,images/val-0.png,blue,bar,n0"]);
    const numbers = numbersOf(at("v.npy"));
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(at("out/v.parquet")) });
    expect(Array.from(numbers)).toEqual(rows.flatMap(({ vector }) => vector));
    expect((await mttc("embed", "run", "val.csv", "-o", "v.npy", "--layer", "shared")).stdout).toContain(
      "12 vectors of 6 numbers",
    );
    // The user's own table stands where the rows would.
    const refused = await mttc("embed", "run", "val.csv", "-o", "val.npy");
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/val\.csv.*E_RUN_EXISTS/)]);
    expect(readFileSync(at("val.csv"), "utf8")).toMatch(/^file,/);
  });

  it("takes folders and any model; what cannot be read is listed, and has no vector", async () => {
    writeFileSync(at("images/broken.png"), "no picture");
    const lenient = await mttc("embed", KERAS, "images", "-o", "k.npy", "--imshape", "16", "--pool", "none");
    expect([lenient.code, lenient.stderr]).toEqual([2, expect.stringMatching(/broken\.png.*\n.*1 of 49/s)]);
    expect(numbersOf(at("k.npy")).length).toBe(48 * 64 * 2 * 2);
    const strict = await mttc("embed", "run", "images", "-o", "s.npy", "--strict");
    expect(strict.code).toBe(2);
    expect(
      readdirSync(data.folder).filter((name) => /^\.?(s|tmp)/.test(name) && name !== "spec.yml"),
    ).toEqual([]);
  });

  it("says what is wrong with its arguments", async () => {
    const wrong = async (...args: string[]) => (await mttc("embed", ...args)).stderr;
    expect(await wrong("run", "val.csv", "-o", "v.txt")).toMatch(/ends in \.parquet or \.npy/);
    expect(await wrong("rum", "val.csv", "-o", "w.npy")).toMatch(/E_FILE.*\n.*run/);
    expect(await wrong(KERAS, "val.csv", "-o", "w.npy")).toMatch(/--imshape 224x224 says it/);
    expect(await wrong(KERAS, "val.csv", "-o", "w.npy", "--imshape", "big")).toMatch(
      /expected a size such as/,
    );
    expect(await wrong("run", "val.csv", "-o", "w.npy", "--pool", "mean")).toMatch(/average, max, none/);
    const layer = await wrong(KERAS, "val.csv", "-o", "w.npy", "--imshape", "16", "--layer", "pool9");
    expect(layer).toMatch(/pool9/);
    expect(existsSync(at("w.npy"))).toBe(false);
  });

  /** The mean over the image of what trunk.onnx of the split export gives. */
  async function trunkMeans(paths: readonly string[]): Promise<number[][]> {
    await using host = await OrtHost.start();
    await host.openGraph("trunk", { path: at("run/export/trunk.onnx") });
    const format = imageFormat({ imshape: [16, 16], num_channels: 3, single_channel: false });
    const reader = new ImageReader(format, 0);
    return await Promise.all(
      paths.map(async (path) => {
        const pixels = new Uint8Array(16 * 16 * 3);
        await reader.read(path, pixels);
        const image = { dtype: "uint8", shape: [1, 16, 16, 3], data: pixels } as const;
        const features = (await host.run("trunk", { image })).get("features");
        const size = Number(features?.shape[2]) * Number(features?.shape[3]);
        const values = Array.from(features?.data as Float32Array);
        return Array.from({ length: values.length / size }, (_, channel) => {
          const own = values.slice(channel * size, (channel + 1) * size);
          return own.reduce((sum, value) => sum + value, 0) / size;
        });
      }),
    );
  }
});

describe("mttc probe", () => {
  it("compares trunks on the same held-out rows, a run and its export alike", async () => {
    const { code, stdout, stderr } = await mttc(
      "probe",
      "run",
      "run/export",
      KERAS,
      "--imshape",
      "16",
      "--labels",
      "train.csv",
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/not probed, being no classes: serial \(36 values in 36 rows\)/);
    const lines = stdout.split("\n").filter((line) => /^run(\/export)? /.test(line));
    expect(lines).toHaveLength(4);
    for (const [own, exported] of [lines.slice(0, 2), lines.slice(2)])
      expect(figuresOf(exported)).toEqual(figuresOf(own));
    expect(stdout).toContain("my_pretrained_extractor.h5: features of");
  });

  it("gives everything as JSON, which agrees with the table", async () => {
    const { stdout } = await mttc("probe", "run", "--labels", "train.csv", "--columns", "colour", "--json");
    const { trunks, images } = JSON.parse(stdout);
    const [{ columns, numbers }] = trunks;
    const [{ column, accuracy, macroRecall, recalls, confusion, heldOutRows, trainedRows }] = columns;
    expect([images, numbers, column, heldOutRows + trainedRows]).toEqual([36, 4, "colour", 29]);
    expect(accuracy.low).toBeLessThanOrEqual(accuracy.value);
    expect(accuracy.value).toBeLessThanOrEqual(accuracy.high);
    expect(recalls.reduce((sum: number, one: number) => sum + one, 0) / 2).toBe(macroRecall.value);
    expect(confusion.flat().reduce((sum: number, rows: number) => sum + rows, 0)).toBe(heldOutRows);
  });

  it("says what is wrong with its arguments", async () => {
    const wrong = async (...args: string[]) => await mttc("probe", ...args);
    const column = await wrong("run", "--labels", "train.csv", "--columns", "colur");
    expect([column.code, column.stderr]).toEqual([2, expect.stringMatching(/did you mean "colour"/)]);
    expect((await wrong("run", "--labels", "trian.csv")).stderr).toMatch(/E_FILE.*\n.*train\.csv/);
    const serial = await wrong("run", "--labels", "train.csv", "--columns", "serial");
    expect(serial.stderr).toMatch(/12 of 12 held-out rows are of classes that no other row has/);
    writeFileSync(at("untrained.yml"), "tasks: [colour]\nfcn: {layers: [4]}\n");
    expect((await wrong("untrained.yml", "--labels", "train.csv")).stderr).toMatch(/no run yet/);
  });
});

/** The cells of a line of the table beside its name, without the last. */
function figuresOf(line: string | undefined): string[] {
  return (line ?? "").split(/ {2,}/).slice(1, -1);
}
