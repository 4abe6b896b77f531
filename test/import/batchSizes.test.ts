// Sizes that depend on the batch: files that fix it to 1 or to another number, and files that leave it open
// and compute with it, are read for any batch. What the imported graph gives for each of five images is what
// ONNX Runtime gives for the file, and nothing of one image gets into another.
import { afterAll, describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { importModel } from "../../compiler/read/onnx/importModel.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { runBytesOnOrt, runOnOrt } from "../ops/runOnOrt.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { IMPORTED_FLOAT32 } from "../tolerances.ts";
import { FIXED_BATCH_MODELS, MIXED_MODELS } from "./fixedBatchModels.ts";
import { encodeForeign, imageOf, outputsOf } from "./foreignModel.ts";
import { OPEN_BATCH_MODELS, type SizedModel } from "./openBatchModels.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

const IMAGES = 5;
const [CHANNELS, HEIGHT, WIDTH] = [4, 6, 8];

function imported(model: SizedModel, batch: number | "N") {
  const image = [batch, CHANNELS, HEIGHT, WIDTH];
  const options = { file: "m.onnx", imshape: [HEIGHT, WIDTH] as const, channels: CHANNELS, batch: "N" };
  return importModel(encodeForeign({ ...model, image }), options).graph;
}

/** Images `from` to before `to`, image by image different. */
function images(from: number, to: number): NDArray {
  const whole = imageOf([IMAGES + 1, CHANNELS, HEIGHT, WIDTH]);
  const size = CHANNELS * HEIGHT * WIDTH;
  return {
    ...whole,
    shape: [to - from, CHANNELS, HEIGHT, WIDTH],
    data: whole.data.slice(from * size, to * size),
  };
}

/** What ONNX Runtime gives for the file, `batch` images at a time (the last ones are cut off). */
function expected(model: SizedModel, batch: number, isOpen: boolean): Float64Array {
  const [output = ""] = outputsOf(model);
  const image = [isOpen ? "N" : batch, CHANNELS, HEIGHT, WIDTH];
  const bytes = encodeForeign({ ...model, image });
  const file = { name: "m", bytes, outputs: [output] };
  const parts: number[] = [];
  for (let from = 0; from < IMAGES; from += batch) {
    // Past the end the first images stand in again.
    const feed = from + batch > IMAGES + 1 ? images(0, batch) : images(from, from + batch);
    const { data } = runBytesOnOrt(library, file, new Map([["x", feed]])).get(output) ?? { data: [] };
    parts.push(...data);
  }
  return Float64Array.from(parts);
}

function check(graph: ReturnType<typeof imported>, count: number, wanted: Float64Array): void {
  const feeds = new Map([["x", images(0, count)]]);
  const [{ name, value } = expect.fail()] = graph.outputs;
  expect(value.type.shape.filter((dim) => typeof dim === "string")).toHaveLength(1);
  const perImage = wanted.length / IMAGES;
  for (const found of [interpret(graph, feeds), runOnOrt(library, graph, feeds, OPS)]) {
    const result = found.get(name);
    expect(result?.data.length).toBe(count * perImage);
    assertClose(result?.data ?? [], wanted.slice(0, count * perImage), {
      tolerance: IMPORTED_FLOAT32,
      what: `${count} images`,
    });
  }
}

describe("files that fix their batch are read for any other", () => {
  for (const [title, modelOf] of FIXED_BATCH_MODELS)
    test.each([1, 3])(`${title}, %i images`, (batch) => {
      const model = modelOf(batch);
      const graph = imported(model, batch);
      const alone = Array.from({ length: IMAGES }, (_, i) => expectedOf(model, batch, i)).flat();
      for (const count of [1, 2, IMAGES]) check(graph, count, Float64Array.from(alone));
    });

  /** The file's numbers for image i, which stands first among its images. */
  function expectedOf(model: SizedModel, batch: number, i: number): number[] {
    const [output = ""] = outputsOf(model);
    const bytes = encodeForeign({ ...model, image: [batch, CHANNELS, HEIGHT, WIDTH] });
    const one = images(i, i + 1);
    const others = images(0, batch - 1).data;
    const feed = {
      ...one,
      shape: [batch, CHANNELS, HEIGHT, WIDTH],
      data: Float64Array.from([...one.data, ...others]),
    };
    const result = runBytesOnOrt(
      library,
      { name: "m", bytes, outputs: [output] },
      new Map([["x", feed]]),
    ).get(output);
    return [...(result?.data ?? [])].slice(0, (result?.data.length ?? 0) / batch);
  }
});

describe("files that leave their batch open and compute with it", () => {
  for (const [title, model] of OPEN_BATCH_MODELS)
    test(title, () => {
      const graph = imported(model, "N");
      for (const count of [1, IMAGES]) {
        const wanted = expected(model, count, true);
        check(graph, count, wanted);
      }
    });
});

describe("images that the file mixes", () => {
  test.each(MIXED_MODELS)("%s: refused, with what helps", (_, batch, model) => {
    const [fault] = faultsOf(() => imported(model, batch));
    expect(fault).toMatchObject({ code: "E_MODEL_SHAPE", at: { file: "m.onnx" } });
    expect(fault?.message).toContain(`the file fixes its batch to ${batch} image`);
    expect(fault?.hint).toMatch(/^export it with a batch that is dynamic/);
  });
});
