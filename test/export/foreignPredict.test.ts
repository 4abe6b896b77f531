// Models that are given to `predict` are not trusted: what lies about itself, loops or asks for absurd
// memory is a typed error in bounded time and memory, before any image where that can be known; external
// data comes from plain files of the model's own folder alone; a pipe in a model's place does not hang.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  decodeModelProto,
  encodeModelProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "../../compiler/codec/protobuf.ts";
import { METADATA_KEY } from "../../compiler/export/modelMetadata.ts";
import { type ModelLimits, type Prediction, Predictor } from "../../runtime/export/predictor.ts";
import { runCli } from "../cli/runCli.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

const CASES = join(PROJECT_ROOT, "test", "cases", "predict");
const IMAGE = join(PROJECT_ROOT, "test", "cases", "tables", "img", "0.png");
/** A sound file, classes 10, 9 and 8. */
const SOUND = decodeModelProto(readFileSync(join(CASES, "integer-classes.onnx")));
const LOOP_SECONDS = 20;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mttc-foreign-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function predictions(file: string, limits: ModelLimits = {}): Promise<Prediction[]> {
  await using predictor = await Predictor.open(file, { limits });
  const rows: Prediction[] = [];
  for await (const row of predictor.predict([IMAGE])) rows.push(row);
  return rows;
}

/** The first fault of predicting with a file. */
async function faultOf(file: string, limits: ModelLimits = {}) {
  const [fault] = await faultsOfAsync(() => predictions(file, limits));
  return { code: fault?.code, message: fault?.message ?? "", file: fault?.at?.file };
}

function write(name: string, model: ModelProto): string {
  const file = join(folder, name);
  writeFileSync(file, encodeModelProto(model));
  return file;
}

/** The sound file with another graph. */
function edited(name: string, change: (graph: ModelProto["graph"]) => Partial<ModelProto["graph"]>): string {
  return write(name, { ...SOUND, graph: { ...SOUND.graph, ...change(SOUND.graph) } });
}

/** The sound file with other metadata. */
function relabelled(name: string, change: (text: string) => string): string {
  const metadataProps = (SOUND.metadataProps ?? []).map(({ key, value }) => ({ key, value: change(value) }));
  return write(name, { ...SOUND, metadataProps });
}

function int64s(name: string, ...values: number[]): TensorProto {
  const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return { name, dataType: 7, dims: [values.length], rawData };
}

function node(
  opType: string,
  input: string[],
  output: string[],
  attribute: NodeProto["attribute"] = [],
): NodeProto {
  return { opType, name: output[0] ?? opType, input, output, attribute };
}

/** Nodes behind the sound graph whose result is added to the colours' probabilities. */
function behind(name: string, nodes: NodeProto[], initializer: TensorProto[], last: string): string {
  return edited(name, (graph) => ({
    node: [
      ...graph.node.map((each) => ({
        ...each,
        output: each.output.map((out) => (out === "probabilities/color" ? "sound" : out)),
      })),
      ...nodes,
      node("Add", ["sound", last], ["probabilities/color"]),
    ],
    initializer: [...graph.initializer, ...initializer],
  }));
}

describe("the cases", () => {
  test.each([
    ["one-class-less", "E_MODEL_META", /\[N,2\]/],
    ["one-class-more", "E_MODEL_META", /\[N,4\]/],
    ["no-such-output", "E_MODEL_OUTPUT", /there is no output "nope"/],
    ["huge-image", "E_MODEL_META", /65536x65536x16/],
    ["loop", "E_MODEL_OP", /Loop/],
  ])("%s is refused with %s before any image", async (name, code, text) => {
    const file = join(CASES, `${name}.onnx`);
    const started = performance.now();
    const [fault] = await faultsOfAsync(() => Predictor.open(file));
    expect(fault).toMatchObject({ code, at: { file } });
    expect(fault?.message).toMatch(text);
    expect(performance.now() - started).toBeLessThan(1000 * LOOP_SECONDS);
  });

  test("classes that look like integers keep their order", async () => {
    const [row] = await predictions(join(CASES, "integer-classes.onnx"));
    expect(row?.classes).toEqual(["10", "9", "8"]);
  });

  test("escape sequences in classes do not reach the terminal", async () => {
    const { code, stdout } = await runCli(folder, ["predict", join(CASES, "escape.onnx"), IMAGE]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/RED/);
    expect(stdout).not.toContain("\u001b");
  });
});

describe("a graph that is not what its metadata says", () => {
  test("an input of another size or type", async () => {
    const size = relabelled("size.onnx", (text) => text.replace('"height": 16', '"height": 20'));
    expect(await faultOf(size)).toMatchObject({ code: "E_MODEL_META", file: size });
    const dtype = relabelled("dtype.onnx", (text) => text.replace('"uint8"', '"uint16"'));
    expect(await faultOf(dtype)).toMatchObject({ code: "E_MODEL_META" });
    const named = edited("named.onnx", ({ input }) => ({
      input: input.map((each) => ({ ...each, name: "x" })),
    }));
    expect((await faultOf(named)).message).toContain('expected one input "image", the file has "x"');
  });

  test("two classes or two tasks of one name, and no task", async () => {
    const classes = relabelled("twice.onnx", (text) => text.replace('"9"', '"10"'));
    expect((await faultOf(classes)).message).toContain("not distinct");
    const tasks = relabelled("tasks.onnx", (text) => text.replace('"name": "shape"', '"name": "color"'));
    expect((await faultOf(tasks)).message).toContain("twice");
    const none = relabelled("none.onnx", (text) => JSON.stringify({ ...JSON.parse(text), tasks: [] }));
    expect((await faultOf(none)).message).toContain("no task");
  });

  test.each([
    ["NaN", Number.NaN],
    ["a sum that is not 1", 1],
  ])("gives %s, which is said and no row", async (_, value) => {
    const tensor: TensorProto = {
      name: "more",
      dataType: 1,
      dims: [1],
      rawData: new Uint8Array(Float32Array.of(value).buffer),
    };
    const fault = await faultOf(behind("rubbish.onnx", [], [tensor], "more"));
    expect(fault.code).toBe("E_MODEL_META");
    expect(fault.message).toMatch(/"probabilities\/color" gives no probabilities of 3 classes for .*0\.png/);
  });

  test("has the probabilities of all images in one row", async () => {
    const file = edited("flat.onnx", (graph) => ({
      node: [
        ...graph.node.map((each) => ({
          ...each,
          output: each.output.map((out) => (out === "probabilities/color" ? "sound" : out)),
        })),
        node("Reshape", ["sound", "flat"], ["probabilities/color"]),
      ],
      initializer: [...graph.initializer, int64s("flat", -1)],
      output: graph.output.map((each) =>
        each.name === "probabilities/color" ? { ...each, type: { tensorType: { elemType: 1 } } } : each,
      ),
    }));
    expect((await faultOf(file)).code).toMatch(/^E_(MODEL_META|ORT)$/);
  });
});

describe("a graph without bounds", () => {
  test("asks for 32 GB by a constant", async () => {
    const nodes = [
      node("ConstantOfShape", ["shape"], ["huge"]),
      node("ReduceSum", ["huge"], ["more"], [{ name: "keepdims", type: 2, i: 0 }]),
    ];
    const file = behind("huge.onnx", nodes, [int64s("shape", 2 ** 15, 2 ** 18)], "more");
    expect(await faultOf(file)).toMatchObject({ code: "E_MODEL_ALLOC", file });
  });

  test("asks for it by a computation, and is ended at the limit", async () => {
    const nodes = [
      node("Mul", ["shape", "shape"], ["squared"]),
      node("ConstantOfShape", ["squared"], ["huge"]),
      node("ReduceSum", ["huge"], ["more"], [{ name: "keepdims", type: 2, i: 0 }]),
    ];
    const file = behind("computed.onnx", nodes, [int64s("shape", 2 ** 8, 2 ** 8)], "more");
    const small = behind("small.onnx", nodes, [int64s("shape", 1, 1)], "more");
    expect(await predictions(small)).toHaveLength(2);
    expect(await faultOf(file, { memoryBytes: 2 ** 30 })).toMatchObject({ code: "E_MODEL_ALLOC" });
  });

  test("takes longer than it may, and is ended", async () => {
    const side = 4_096;
    const nodes = [
      node("ReduceSum", ["image_float"], ["one"], [{ name: "keepdims", type: 2, i: 0 }]),
      node("Expand", ["one", "shape"], ["square0"]),
      ...Array.from({ length: 40 }, (_, i) =>
        node("MatMul", [`square${i}`, `square${i}`], [`square${i + 1}`]),
      ),
      node("ReduceMin", ["square40"], ["least"], [{ name: "keepdims", type: 2, i: 0 }]),
      node("Mul", ["least", "zero"], ["more"]),
      node("Cast", ["image"], ["image_float"], [{ name: "to", type: 2, i: 1 }]),
    ];
    const zero: TensorProto = { name: "zero", dataType: 1, dims: [], rawData: new Uint8Array(4) };
    const ordered = [nodes.at(-1), ...nodes.slice(0, -1)].filter((each) => each !== undefined);
    const file = behind("slow.onnx", ordered, [int64s("shape", side, side), zero], "more");
    const started = performance.now();
    const fault = await faultOf(file, { imageSeconds: 2 });
    expect(fault.code).toBe("E_ORT");
    expect(fault.message).toContain("takes more than 2 s");
    expect(performance.now() - started).toBeLessThan(1000 * LOOP_SECONDS);
  });

  test.each(["If", "Scan", "SequenceMap"])("holds a %s", async (opType) => {
    const file = behind("control.onnx", [node(opType, ["sound"], ["more"])], [], "more");
    expect((await faultOf(file)).message).toContain(`${opType} holds a graph of its own`);
  });

  test("hides a loop in a function, or has operators of a domain of its own", async () => {
    const body = { name: "f", domain: "mine", input: [], output: [], attribute: [], attributeProto: [] };
    const functions = [{ ...body, node: [node("Loop", [], [])], opsetImport: [{ domain: "", version: 18 }] }];
    const hidden = write("hidden.onnx", { ...SOUND, functions });
    expect((await faultOf(hidden)).code).toBe("E_MODEL_OP");
    const own = behind("own.onnx", [{ ...node("Relu", ["sound"], ["more"]), domain: "my.ops" }], [], "more");
    expect((await faultOf(own)).message).toContain('the domain "my.ops"');
  });
});

describe("external data", () => {
  /** The sound model with its largest constant in `location`. */
  function withData(name: string, location: string): { file: string; bytes: Uint8Array } {
    const { initializer } = SOUND.graph;
    const size = ({ rawData }: TensorProto): number => rawData?.length ?? 0;
    const [largest] = [...initializer].sort((a, b) => size(b) - size(a));
    const changed = initializer.map((tensor): TensorProto => {
      if (tensor !== largest) return tensor;
      const { rawData: _, ...head } = tensor;
      return { ...head, dataLocation: 1, externalData: [{ key: "location", value: location }] };
    });
    const file = join(folder, name);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, encodeModelProto({ ...SOUND, graph: { ...SOUND.graph, initializer: changed } }));
    return { file, bytes: largest?.rawData ?? new Uint8Array() };
  }

  test("comes from the model's folder, whatever the working directory is", async () => {
    const { file, bytes } = withData("inside/model.onnx", "weights.bin");
    writeFileSync(join(folder, "inside", "weights.bin"), bytes);
    const [expected] = await predictions(join(CASES, "integer-classes.onnx"));
    expect((await predictions(file))[0]).toEqual(expected);
  });

  test("is not taken from the working directory", async () => {
    const { file, bytes } = withData("elsewhere/model.onnx", "cwd.bin");
    writeFileSync(join(folder, "cwd.bin"), bytes);
    const { code, stderr } = await runCli(folder, ["predict", file, IMAGE]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("E_FILE")]);
  });

  test("that a link or .. leads to is refused", async () => {
    const linked = withData("linked/model.onnx", "link.bin");
    symlinkSync(join(folder, "inside", "weights.bin"), join(folder, "linked", "link.bin"));
    expect((await faultOf(linked.file)).code).toBe("E_MODEL_PATH");
    expect((await faultOf(withData("up/model.onnx", "../inside/weights.bin").file)).code).toBe(
      "E_MODEL_PATH",
    );
  });
});

test("a pipe in a model's place is refused, not waited for", async (context) => {
  const pipe = join(folder, "pipe.onnx");
  if (spawnSync("mkfifo", [pipe]).status !== 0) return context.skip("no mkfifo on this system");
  expect(await faultOf(pipe)).toMatchObject({ code: "E_PATH_TYPE" });
});

test.each([0, -1, 2 ** 40])("a file whose batch is fixed at %s is refused", async (batch) => {
  const file = edited("batch.onnx", ({ input }) => ({
    input: input.map((each) => ({ ...each, type: fixedType(each.type, batch) })),
  }));
  expect(await faultOf(file)).toMatchObject({ code: "E_MODEL_META" });
});

test("a file whose batch is fixed takes that many images at a time, the rest being black", async () => {
  const fixed = (name: string): string =>
    edited(name, ({ input, output }) => ({
      input: input.map((each) => ({ ...each, type: fixedType(each.type, 3) })),
      output: output.map((each) => ({ ...each, type: fixedType(each.type, 3) })),
    }));
  const [expected] = await predictions(join(CASES, "integer-classes.onnx"));
  const rows = await predictions(fixed("fixed.onnx"));
  expect(rows).toHaveLength(2);
  expect(rows[0]?.class).toBe(expected?.class);
});

function fixedType(
  type: ModelProto["graph"]["input"][number]["type"],
  batch: number,
): NonNullable<typeof type> {
  const { elemType = 1, shape } = type?.tensorType ?? {};
  const [, ...dims] = shape?.dim ?? [];
  return { tensorType: { elemType, shape: { dim: [{ dimValue: batch }, ...dims] } } };
}

test("metadata of a file that mttc wrote is under the key that is documented", () => {
  expect(SOUND.metadataProps?.[0]?.key).toBe(METADATA_KEY);
});
