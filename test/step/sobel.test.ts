// `sobel: true`: the graph's preprocessing against TensorFlow's (test/fixtures/sobel/make_fixture.py), for bytes,
// bands of 16 bits and grey images, and what a trained net and its export make of it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { imageInput, preprocess } from "../../compiler/model/network.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { imageDtype } from "../../compiler/spec/pixelRange.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";
import { SOBEL_FLOAT32 } from "../tolerances.ts";

interface Case {
  readonly name: string;
  readonly bits: 8 | 16;
  readonly norm: number;
  readonly shape: readonly [number, number, number, number];
  readonly images: string;
  readonly expected: string;
}

const fixture = new URL("../fixtures/sobel/sobel.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(fixture, "utf8")) as { readonly cases: readonly Case[] };
const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());
const runners: Readonly<Record<string, typeof interpret>> = {
  "the float64 reference": interpret,
  "ONNX Runtime": (graph, feeds) => runOnOrt(library, graph, feeds, OPS),
};
const buffer = (text: string): ArrayBuffer => new Uint8Array(Buffer.from(text, "base64")).buffer;
const least = { tasks: ["colour"], fcn: { layers: [4] } } satisfies SpecInput;

describe.each(Object.entries(runners))("on %s", (_, run) => {
  test.each(cases)("$name are TensorFlow's edges", ({ bits, norm, shape, images, expected }) => {
    const [, height, width, channels] = shape;
    const spec = resolveSpec({
      ...least,
      sobel: true,
      imshape: [height, width],
      num_channels: channels,
      bit_depth: bits,
      norm,
    });
    const b = new GraphBuilder("edges", OPS);
    b.output("x", preprocess(b, spec, imageInput(b, spec, "N")));
    const numbers = bits === 8 ? new Uint8Array(buffer(images)) : new Uint16Array(buffer(images));
    const image = { dtype: imageDtype(bits), shape, data: Float64Array.from(numbers) };
    const x = run(b.build(), new Map([["image", image]])).get("x");
    expect(x?.shape).toEqual([shape[0], 3, height, width]);
    const wanted = new Float32Array(buffer(expected));
    expect(wanted.some((value) => Math.abs(value) > 0.5)).toBe(true);
    const plane = height * width;
    for (const [i, value] of wanted.entries()) {
      const [n, pixel, channel] = [Math.floor(i / (3 * plane)), Math.floor(i / 3) % plane, i % 3];
      const found = x?.data[(n * 3 + channel) * plane + pixel] ?? Number.NaN;
      expect(Math.abs(found - value)).toBeLessThan(SOBEL_FLOAT32);
    }
  });
});

describe("a spec with sobel", () => {
  test("trains, and its export has the filter inside: parity holds on the images themselves", async () => {
    await using data = await makeTinyData();
    await using trainer = new MultiTaskTrainer({
      spec: resolveSpec({
        ...least,
        train_labels: "train.csv",
        filepaths: "file",
        imshape: [16, 16],
        sobel: true,
        train_fcn: true,
        batch_size: 12,
        augment: { flip_left_right: true, sobel_prob: 0.5 },
        logdir: "edges",
      }),
      baseDirectory: data.folder,
      trainRows: undefined,
      valRows: undefined,
      classes: undefined,
    });
    await trainer.fit(1);
    const { checks } = await exportRun(trainer);
    expect(checks.length).toBeGreaterThan(0);
    for (const { passed, largestDifference } of checks) {
      expect(passed).toBe(true);
      expect(largestDifference).toBeLessThanOrEqual(PARITY_TOLERANCE);
    }
    // The export takes bytes: sobel cannot come before it, nor other numbers.
    const fcn = join(data.folder, "edges", "export", "model.onnx");
    for (const [changes, message] of [
      [{ sobel: true }, /leaves no place for sobel/],
      [{ bit_depth: 16, norm: 1000 }, /leaves no place for bit_depth 16/],
    ] as const) {
      const { logdir: _, ...common } = { ...trainer.spec, ...changes, fcn, train_fcn: false };
      const refused = new MultiTaskTrainer({
        spec: resolveSpec({ ...common, logdir: "other" } as SpecInput),
        baseDirectory: data.folder,
        trainRows: undefined,
        valRows: undefined,
        classes: undefined,
      });
      const faults = await faultsOfAsync(() => refused.fit(1));
      expect(faults[0]).toMatchObject({ code: "E_MODEL_SHAPE", message: expect.stringMatching(message) });
      await refused.close();
    }
  });

  test("an image of one row has no edges", () => {
    const faults = faultsOf(() => resolveSpec({ ...least, task_layers: [4], imshape: [1, 20], sobel: true }));
    expect(faults).toMatchObject([{ code: "E_CONFIG", message: "an image of 1x20 has no edges" }]);
  });
});
