// The modules of the browser's client that need no page: what they take of a file's metadata, what they
// refuse, and the answers they give, in Node.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { encodeModelProto } from "../../compiler/codec/protobuf.ts";
import { classAnswers } from "../../compiler/tasks/classAnswers.ts";
import { tagAnswers } from "../../compiler/tasks/tagAnswers.ts";
import { decodeImage } from "../../runtime/images/images.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { READ_PIXELS } from "../tolerances.ts";

const load = (name: string) =>
  import(pathToFileURL(join(PROJECT_ROOT, "examples/clients/browser", name)).href);
const { readMetadata, parseMetadata, checkSession } = await load("metadata.js");
const { answerOf } = await load("answers.js");
const { resize } = await load("resize.js");
const { readImage } = await load("reader.js");

const TASK = { name: "species", output: "probabilities", classes: ["fox", "badger"] };
const RULES = {
  height: 8,
  width: 6,
  channels: 3,
  greyscale: false,
  norm: 255,
  layout: "NHWC",
  dtype: "uint8",
};
const METADATA = {
  ...{ format: "mttc-model", version: 1, producer: "mttc", kind: "model" },
  ...{ tasks: [TASK], preprocessing: RULES, reading: { version: 1 } },
};

/** An ONNX file whose graph is empty, with these metadata_props. */
function fileWith(...metadataProps: readonly { readonly key: string; readonly value: string }[]): Uint8Array {
  const graph = { name: "g", node: [], input: [], output: [], initializer: [] };
  return encodeModelProto({ irVersion: 8, opsetImport: [{ domain: "", version: 18 }], graph, metadataProps });
}

/** `E_CODE: message` of what is thrown. */
function faultOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return String(error);
  }
  return "nothing is thrown";
}

const refusalOf = (change: object): string =>
  faultOf(() => parseMetadata(JSON.stringify({ ...METADATA, ...change })));

describe("metadata", () => {
  test("of a file is read", () => {
    const { tasks, preprocessing } = readMetadata(fileWith({ key: "mttc", value: JSON.stringify(METADATA) }));
    expect(tasks).toEqual([
      { name: "species", output: "probabilities", kind: "classes", names: TASK.classes },
    ]);
    expect(preprocessing).toMatchObject({ height: 8, width: 6, channels: 3, anySize: false });
  });

  test("is refused where the bytes are no ONNX file", () => {
    const whole = fileWith({ key: "mttc", value: JSON.stringify(METADATA) });
    const texts = [
      new Uint8Array(),
      new Uint8Array(100),
      Buffer.from("no model"),
      whole.subarray(0, whole.length - 9),
    ];
    for (const bytes of [...texts, new Uint8Array(40).fill(255)])
      expect(faultOf(() => readMetadata(bytes))).toMatch(/^E_MODEL_PARSE: not an ONNX file: /);
  });

  test("is refused where it is missing, twice there, or a part's", () => {
    const entry = { key: "mttc", value: JSON.stringify(METADATA) };
    expect(faultOf(() => readMetadata(fileWith()))).toMatch(/^E_MODEL_META: .*no metadata "mttc"/);
    expect(faultOf(() => readMetadata(fileWith(entry, entry)))).toMatch(/^E_MODEL_META: .*2 times/);
    const part = { ...entry, key: "mttc.head.species" };
    expect(faultOf(() => readMetadata(fileWith(part)))).toMatch(
      /^E_MODEL_META: .*part of a split.*mttc.head/,
    );
  });

  const task = (change: object) => ({ tasks: [{ ...TASK, ...change }] });
  const rules = (change: object) => ({ preprocessing: { ...RULES, ...change } });
  const tags = (change: object) => ({
    tasks: [{ name: "t", output: "o", kind: "tags", tags: ["a", "b"], ...change }],
  });
  const CASES: readonly (readonly [string, object, RegExp])[] = [
    ["another format", { format: "onnx" }, /format is "onnx"/],
    ["a version to come", { version: 4 }, /version is 4/],
    ["a version in words", { version: "1" }, /version is "1"/],
    ["a trunk", { kind: "trunk" }, /kind is "trunk"/],
    ["no tasks", { tasks: [] }, /a list of 0/],
    ["too many tasks", { tasks: Array(1001).fill(TASK) }, /a list of 1001/],
    ["a task twice", { tasks: [TASK, { ...TASK, output: "b" }] }, /names of tasks are not distinct/],
    ["an output twice", { tasks: [TASK, { ...TASK, name: "b" }] }, /outputs of tasks are not distinct/],
    ["a task without a name", task({ name: "" }), /tasks\[0\]\.name is ""/],
    ["a kind to come", task({ kind: "boxes" }), /kind is "boxes"/],
    ["classes that are no list", task({ classes: "fox" }), /classes is "fox"/],
    ["classes that are no texts", task({ classes: [1, 2] }), /classes\[0\] is 1/],
    ["a class twice", task({ classes: ["a", "a"] }), /not distinct: "a"/],
    ["unsure above 1", task({ unsure: { below: 1.5 } }), /unsure\.below is 1\.5/],
    ["a heat map without size", task({ heatmap: { output: "h" } }), /heatmap\.height is missing/],
    ["a huge heat map", task({ heatmap: { output: "h", height: 65536, width: 65536 } }), /beyond any memory/],
    ["thresholds of others", tags({ thresholds: [0.5] }), /thresholds is a list of 1/],
    ["thresholds of null", tags({ thresholds: [0.5, null] }), /thresholds\[1\] is null/],
    ["no preprocessing", { preprocessing: undefined }, /preprocessing is missing/],
    ["a height of 0", rules({ height: 0 }), /height is 0/],
    ["half a pixel", rules({ width: 7.5 }), /width is 7\.5/],
    ["a huge image", rules({ height: 65536, width: 65536 }), /beyond any memory/],
    ["another layout", rules({ layout: "NCHW" }), /layout is "NCHW"/],
    ["another dtype", rules({ dtype: "int4" }), /dtype is "int4"/],
    ["another resize", rules({ resize: "magic" }), /resize is "magic"/],
    ["a reading to come", { reading: { version: 99 } }, /reading\.version is 99/],
  ];
  test.each(CASES)("is refused for %s", (_, change, message) => {
    const refusal = refusalOf(change);
    expect(refusal).toMatch(/^E_MODEL_META: /);
    expect(refusal).toMatch(message);
  });

  test("that is deep, huge or no object is refused without a crash", () => {
    const deep = "[".repeat(1_000_000);
    const texts = [
      deep,
      `${deep}${"]".repeat(1_000_000)}`,
      "null",
      "3",
      '"mttc"',
      "{",
      "x".repeat(5_000_000),
      "[]",
    ];
    for (const text of texts) {
      const refusal = faultOf(() => parseMetadata(text));
      expect(refusal).toMatch(/^E_MODEL_META: /);
      expect(refusal.length).toBeLessThan(200);
    }
  });

  test("is compared with what the session takes and gives", () => {
    const metadata = parseMetadata(JSON.stringify(METADATA));
    const image = { name: "image", type: "uint8", shape: ["N", 8, 6, 3] };
    const output = { name: "probabilities", type: "float32", shape: ["N", 2] };
    const differs = (inputs: object[], outputs: object[]) =>
      faultOf(() => checkSession(metadata, inputs, outputs));
    expect(differs([image], [output])).toBe("nothing is thrown");
    expect(differs([image, image], [output])).toMatch(/^E_MODEL_META: expected one input "image"/);
    expect(differs([{ ...image, name: "x" }], [output])).toMatch(/^E_MODEL_META: expected one input "image"/);
    expect(differs([{ ...image, type: "float32" }], [output])).toMatch(/^E_MODEL_META: .*uint8 \[1,8,6,3\]/);
    expect(differs([{ ...image, shape: [1, 9, 6, 3] }], [output])).toMatch(/^E_MODEL_META: /);
    expect(differs([image], [])).toMatch(/^E_MODEL_META: there is no output "probabilities"/);
    expect(differs([image], [{ ...output, shape: ["N", 3] }])).toMatch(/^E_MODEL_META: .*float32 \[1,2\]/);
    expect(differs([image], [{ ...output, type: "int64" }])).toMatch(/^E_MODEL_META: /);
  });
});

describe("answers", () => {
  const classes = { name: "species", kind: "classes", names: ["fox", "badger", "hare"] };
  const read = (task: object, numbers: number[]) => answerOf(task, Float32Array.from(numbers));

  test("of classes are those of mttc predict, the first of equals", () => {
    for (const numbers of [
      [0.25, 0.5, 0.25],
      [0.5, 0.5, 0],
      [0, 0, 1],
    ]) {
      const wanted = classAnswers(classes.names, 0.6).read(numbers);
      const { answer, unsure = false } = read({ ...classes, unsureBelow: 0.6 }, numbers);
      expect({ answer, unsure }).toEqual({ answer: wanted.class, unsure: wanted.unsure });
    }
    expect(read(classes, [1, 0, 0])).not.toHaveProperty("unsure");
  });

  test("of tags are those of mttc predict", () => {
    const names = ["red", "blue", "dark"];
    for (const numbers of [
      [0.5, 0.25, 0.75],
      [0, 0, 0],
      [1, 1, 1],
    ])
      for (const thresholds of [undefined, [0.75, 0.25, 0.75]]) {
        const wanted = tagAnswers(names, thresholds ?? [0.5, 0.5, 0.5], " ").read(numbers);
        const given = read(
          { name: "t", kind: "tags", names, ...(thresholds ? { thresholds } : {}) },
          numbers,
        );
        expect(given.answer).toEqual(wanted.tags);
      }
  });

  test("of numbers are the numbers, with their interval", () => {
    expect(read({ name: "n", kind: "number", names: ["n"], radius: [2] }, [-3])).toEqual({
      ...{ task: "n", kind: "number", answer: [-3], numbers: [-3], within: [2] },
    });
  });

  test("that cannot be are refused", () => {
    for (const numbers of [
      [Number.NaN, 0, 1],
      [0.5, 0.5, 0.5],
      [2, -1, 0],
      [0.5, 0.5],
      [Number.POSITIVE_INFINITY, 0, 0],
    ])
      expect(faultOf(() => read(classes, numbers))).toMatch(/^E_MODEL_META: the model gives .* "species"/);
  });
});

describe("the resize", () => {
  /** Hard edges and noise, repeatable. */
  const noise = (length: number) => Uint8Array.from({ length }, (_, i) => ((i * 2654435761) >>> 11) & 255);
  /** Height and width before and after. */
  const SIZES = [
    ...[
      [45, 60, 12, 16],
      [60, 45, 60, 45],
      [480, 640, 224, 224],
      [1001, 333, 32, 64],
      [300, 200, 64, 192],
    ],
    ...[
      [33, 77, 224, 224],
      [100, 20, 50, 50],
      [20, 100, 50, 50],
      [50, 50, 50, 60],
      [8, 9, 8, 8],
    ],
  ] as const;
  test.each(SIZES)(
    "of %ix%i to %ix%i is training's, bit by bit",
    async (height, width, toHeight, toWidth) => {
      for (const channels of [1, 3] as const) {
        const data = noise(height * width * channels);
        const raw = { height, width, channels };
        const image = sharp(data, { raw }).resize(toWidth, toHeight, { fit: "fill" });
        const wanted = await image
          .toColourspace(channels === 1 ? "b-w" : "srgb")
          .raw()
          .toBuffer();
        const given = resize({ ...raw, data }, { height: toHeight, width: toWidth });
        expect(Buffer.compare(given.data, wanted)).toBe(0);
      }
    },
  );
});

describe("PNGs", () => {
  const ODD = join(PROJECT_ROOT, "test", "fixtures", "oddImages");
  const SIZE = { height: 24, width: 32, channels: 3 };
  const preprocessing = { ...SIZE, dtype: "uint8", anySize: false };
  const read = async (bytes: Uint8Array, changes = {}) =>
    await readImage(new Blob([new Uint8Array(bytes)]), { preprocessing: { ...preprocessing, ...changes } });
  const names = readdirSync(ODD).filter((name) => name.endsWith(".png") && !name.includes("p3"));

  test.each(names)("like %s are read as training reads them, in colours and grey", async (name) => {
    const bytes = readFileSync(join(ODD, name));
    for (const greyscale of [false, true]) {
      const wanted = await decodeImage(bytes, { ...SIZE, greyscale }, name);
      const { data, height, width } = await read(bytes, { greyscale });
      expect([height, width, data.length]).toEqual([SIZE.height, SIZE.width, wanted.length]);
      const largest = Math.max(...wanted.map((value, i) => Math.abs(value - (data[i] ?? 0))));
      expect(largest).toBeLessThanOrEqual(name.includes("16") ? READ_PIXELS : 0);
    }
  });

  test.each([
    ["interlaced", { progressive: true }],
    ["of two bits", { palette: true, colours: 4 }],
    ["of four bits, interlaced", { palette: true, colours: 16, progressive: true }],
  ])("%s are read", async (_, options) => {
    const bytes = await sharp(join(ODD, "rgba.png")).png(options).toBuffer();
    const wanted = await decodeImage(bytes, { ...SIZE, greyscale: false }, "a.png");
    expect(Buffer.compare((await read(bytes)).data, wanted)).toBe(0);
  });

  test("of any size keep theirs, upright", async () => {
    const { height, width } = await read(readFileSync(join(ODD, "turned-5.png")), { anySize: true });
    expect([height, width]).toEqual([60, 45]);
  });

  test("that are damaged, too small, too large or none are refused by name", async () => {
    const sound = readFileSync(join(ODD, "plain.png"));
    const changed = (at: number, ...values: number[]) =>
      Buffer.concat([sound.subarray(0, at), Buffer.from(values), sound.subarray(at + values.length)]);
    const small = await sharp({ create: { width: 4, height: 40, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    const cases: readonly (readonly [Uint8Array, string])[] = [
      [sound.subarray(0, sound.length - 20), "E_IMG_TRUNCATED"],
      [sound.subarray(0, 20), "E_IMG_TRUNCATED"],
      [changed(900, 1, 2, 3), "E_IMG_TRUNCATED"],
      [changed(16, 127, 255, 255, 255, 127), "E_IMG_LIMIT"],
      [small, "E_IMG_SIZE"],
      [new Uint8Array(), "E_IMG_FORMAT"],
      [Buffer.from("no picture at all"), "E_IMG_FORMAT"],
      [readFileSync(join(ODD, "cmyk.jpg")), "E_IMG_FORMAT"],
      [readFileSync(join(ODD, "plain.webp")).subarray(0, 900), "E_IMG_TRUNCATED"],
      [readFileSync(join(ODD, "plain.jpg")).subarray(0, 900), "E_IMG_TRUNCATED"],
    ];
    for (const [bytes, code] of cases) await expect(read(bytes)).rejects.toMatchObject({ code });
    await expect(read(sound, { dtype: "float32" })).rejects.toMatchObject({ code: "E_IMG_FORMAT" });
    await expect(read(sound, { channels: 4 })).rejects.toMatchObject({ code: "E_IMG_FORMAT" });
  });
});
