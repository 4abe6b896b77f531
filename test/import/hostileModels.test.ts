// Hostile ONNX files: rows 36 to 41 of the list of hostile inputs. Each ends at once in a typed error that
// names the file (and the node where there is one); nothing hangs, nothing is allocated that the file asks
// for.
import { describe, expect, test } from "vitest";
import { encodeModelProto, type GraphProto, type TensorProto } from "../../compiler/codec/protobuf.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { importModel } from "../../compiler/read/onnx/importModel.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import {
  encodeForeign,
  type ForeignModel,
  graphOf,
  ints,
  type NodeText,
  node,
  tensor,
  weights,
} from "./foreignModel.ts";

const OPTIONS = { file: "evil.onnx", imshape: [6, 5] as const, batch: 2 };
/** Milliseconds of processor time (a busy machine takes longer) within which every case must end. */
const DEADLINE_MS = 2000;

function codeOf(bytes: Uint8Array, options: Partial<Parameters<typeof importModel>[1]> = {}): string {
  const begin = process.cpuUsage();
  const [fault] = faultsOf(() => importModel(bytes, { ...OPTIONS, ...options }));
  const { user, system } = process.cpuUsage(begin);
  expect((user + system) / 1000).toBeLessThan(DEADLINE_MS);
  expect(fault?.at?.file).toBe("evil.onnx");
  return fault?.code ?? "";
}

const modelCode = (model: ForeignModel): string => codeOf(encodeForeign(model));

function external(entries: Record<string, string>): Uint8Array {
  const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
  const w: TensorProto = { name: "w", dims: [1, 3, 1, 1], dataType: 1, dataLocation: 1, externalData };
  return encodeForeign({ nodes: [["Conv(x, w) -> y"]], initializers: [w] });
}

describe("external data", () => {
  test.each([
    ["a negative offset", { location: "w.bin", offset: "-4" }],
    ["an offset of 2^63-1", { location: "w.bin", offset: "9223372036854775807" }],
    ["an offset that is no number", { location: "w.bin", offset: "0x10" }],
    ["a length of 1 GiB", { location: "w.bin", length: "1073741824" }],
    ["a length that does not fit the dims", { location: "w.bin", length: "8" }],
    ["the in-memory marker", { location: "*/_ORT_MEM_ADDR_/*", offset: "140735", length: "12" }],
  ])("%s: E_MODEL_DATA before anything is read", (_, entries) => {
    const externalData = () => expect.unreachable("nothing may be read");
    expect(codeOf(external(entries), { externalData })).toBe("E_MODEL_DATA");
  });

  test.each([
    "../w.bin",
    "a/../../w.bin",
    "/etc/passwd",
    "C:\\w.bin",
    "\\\\host\\w.bin",
    "file:w.bin",
    "w.bin\0x",
    "a\nb",
    "",
  ])("the location %j: E_MODEL_PATH before anything is read", (location) => {
    const externalData = () => expect.unreachable("nothing may be read");
    expect(codeOf(external({ location }), { externalData })).toBe("E_MODEL_PATH");
  });

  test("a model that is given as bytes cannot have any: E_MODEL_PATH with a hint", () => {
    const [fault] = faultsOf(() => importModel(external({ location: "w.bin" }), OPTIONS));
    expect(fault?.code).toBe("E_MODEL_PATH");
    expect(fault?.hint).toContain(".onnx");
  });

  test("bytes of another length than was asked for: E_MODEL_DATA", () => {
    const bytes = external({ location: "w.bin" });
    expect(codeOf(bytes, { externalData: () => new Uint8Array(8) })).toBe("E_MODEL_DATA");
    const { graph } = importModel(bytes, { ...OPTIONS, externalData: () => new Uint8Array(12) });
    expect(graph.nodes).toHaveLength(1);
  });
});

describe("shapes", () => {
  const sized = (dims: readonly number[]): TensorProto => ({
    name: "w",
    dims,
    dataType: 1,
    rawData: new Uint8Array(4),
  });
  test.each([
    ["2^50", [2 ** 50]],
    ["-1", [-1]],
    ["a product beyond 2^53", [2 ** 30, 2 ** 30]],
  ])("an initializer of dims %s: E_MODEL_SHAPE", (_, dims) => {
    expect(modelCode({ nodes: [["Add(x, w) -> y"]], initializers: [sized(dims)] })).toBe("E_MODEL_SHAPE");
  });

  test("external data of impossible dims: E_MODEL_SHAPE", () => {
    const w = {
      ...sized([2 ** 52, 4]),
      dataLocation: 1,
      externalData: [{ key: "location", value: "w.bin" }],
    };
    expect(modelCode({ nodes: [["Add(x, w) -> y"]], initializers: [w] })).toBe("E_MODEL_SHAPE");
  });

  const unfit: readonly (readonly [string, readonly NodeText[]])[] = [
    ["filters of another rank", [["Conv(x, flat) -> y"]]],
    ["three strides", [["Conv(x, w) -> y", { strides: [1, 1, 1] }]]],
    ["a stride of 0", [["Conv(x, w) -> y", { strides: [0, 1] }]]],
    ["negative pads", [["Conv(x, w) -> y", { pads: [-1, 0, 0, 0] }]]],
    ["a kernel of 2^40", [["MaxPool(x) -> y", { kernel_shape: [2 ** 40, 1] }]]],
    ["no group at all", [["Conv(x, w) -> y", { group: 0 }]]],
    ["an axis that is none", [["Softmax(x) -> y", { axis: 7 }]]],
    ["a permutation that is none", [["Transpose(x) -> y", { perm: [0, 0, 1, 9] }]]],
    ["a reshape that does not fit", [["Reshape(x, odd) -> y"]]],
  ];
  test.each(unfit)("%s: E_MODEL_SHAPE at the node", (_, nodes) => {
    const initializers = [weights("flat", [3, 3]), weights("w", [3, 3, 1, 1]), ints("odd", [7, -1])];
    const [fault] = faultsOf(() => importModel(encodeForeign({ nodes, initializers }), OPTIONS));
    expect(fault).toMatchObject({ code: "E_MODEL_SHAPE", at: { file: "evil.onnx", node: "node of y" } });
  });

  test("an image of another rank, channels that differ, two inputs: E_MODEL_SHAPE", () => {
    expect(modelCode({ nodes: [["Neg(x) -> y"]], image: [2, 3, 6] })).toBe("E_MODEL_SHAPE");
    expect(codeOf(encodeForeign({ nodes: [["Neg(x) -> y"]] }), { channels: 1 })).toBe("E_MODEL_SHAPE");
  });
});

describe("memory", () => {
  test.each([
    ["ConstantOfShape of 2^40", [["ConstantOfShape(big) -> c"], ["Add(x, c) -> y"]]],
    ["Range to 2^40", [["Range(zero, limit, one) -> c"], ["Cast(c) -> y", { to: 1 }]]],
    ["Expand of a constant to 2^40", [["Expand(one, big) -> c"], ["Add(x, c) -> y"]]],
    ["Tile of the image by 2^40", [["Tile(x, tiles) -> y"]]],
    ["Expand of the image by 2^40", [["Expand(x, tiled) -> y"]]],
    ["Pad of the image by 2^40", [["Pad(x, pads) -> y"]]],
  ] satisfies readonly (readonly [string, readonly NodeText[]])[])("%s: E_MODEL_ALLOC", (_, nodes) => {
    const scalar = (name: string, value: number) => tensor(name, "int64", [], [value]);
    const initializers = [
      ints("big", [2 ** 20, 2 ** 20]),
      ints("tiles", [1, 1, 2 ** 20, 2 ** 20]),
      ints("tiled", [2 ** 20, 2 ** 20, 1, 1, 1, 1]),
      ints("pads", [0, 0, 0, 0, 0, 0, 2 ** 40, 0]),
      ...[scalar("zero", 0), scalar("one", 1), scalar("limit", 2 ** 40)],
    ];
    expect(modelCode({ nodes, initializers })).toBe("E_MODEL_ALLOC");
  });

  test("functions that call each other twice, 60 deep: E_MODEL_PARSE or E_MODEL_ALLOC, no 2^60 nodes", () => {
    const functions = Array.from({ length: 30 }, (_, i) => ({
      ...{ name: `F${i}`, domain: "local", input: ["a"], output: ["c"], attribute: [], attributeProto: [] },
      opsetImport: [
        { domain: "", version: 18 },
        { domain: "local", version: 1 },
      ],
      node: graphOf(
        i === 29 ? [["Neg(a) -> c"]] : [[`local::F${i + 1}(a) -> b`], [`local::F${i + 1}(b) -> c`]],
        [],
      ).node,
    }));
    const model = { nodes: [["local::F0(x) -> y"]] as const, domains: { local: 1 }, functions };
    expect(modelCode(model)).toBe("E_MODEL_ALLOC");
  });
});

describe("control flow", () => {
  test("Loop with 2^60 trips: E_MODEL_OP", () => {
    const body = graphOf([["Neg(a) -> b"]], ["b"]);
    const trips = { ...ints("trips", [0]), dims: [], rawData: new Uint8Array([0, 0, 0, 0, 0, 0, 0, 16]) };
    expect(
      modelCode({ nodes: [["Loop(trips, , x) -> y", { body: { g: body } }]], initializers: [trips] }),
    ).toBe("E_MODEL_OP");
  });

  test("If nested 12 deep is taken branch by branch; nested beyond the limits: E_MODEL_PARSE", () => {
    const nested = (depth: number): GraphProto => {
      let graph = graphOf([["Neg(x) -> t"]], ["t"]);
      for (let i = 0; i < depth; i++) {
        const branches = { then_branch: { g: graph }, else_branch: { g: graphOf([], []) } };
        graph = graphOf([["If(c) -> t", branches]], ["t"]);
      }
      return graph;
    };
    const model = (depth: number) => {
      const nodes = [
        ["If(c) -> y", { then_branch: { g: nested(depth) }, else_branch: { g: graphOf([], []) } }],
      ] as const;
      return encodeForeign({ nodes, initializers: [tensor("c", "bool", [], [1])] });
    };
    expect(importModel(model(12), OPTIONS).graph.nodes).toHaveLength(1);
    expect(() => codeOf(model(60))).toThrow(MttcError);
  });

  test("a function that calls itself: E_MODEL_PARSE", () => {
    const functions = [
      {
        ...{ name: "F", domain: "local", input: ["a"], output: ["b"], attribute: [], attributeProto: [] },
        opsetImport: [{ domain: "local", version: 1 }],
        node: graphOf([["local::F(a) -> b"]], []).node,
      },
    ];
    const nodes = [["local::F(x) -> y"]] as const;
    expect(modelCode({ nodes, functions, domains: { local: 1 } })).toBe("E_MODEL_PARSE");
  });
});

describe("structure", () => {
  const broken: readonly (readonly [string, readonly NodeText[]])[] = [
    ["a cycle", [["Add(x, b) -> a"], ["Neg(a) -> b"], ["Neg(b) -> y"]]],
    ["a name that nothing defines", [["Add(x, nothing) -> y"]]],
    ["a name that is defined twice", [["Neg(x) -> a"], ["Abs(x) -> a"], ["Neg(a) -> y"]]],
    ["a node that redefines the image", [["Neg(x) -> x"], ["Neg(x) -> y"]]],
    ["an output too many", [["Neg(x) -> y, z"]]],
    ["a missing input", [["Add(x) -> y"]]],
    ["a missing attribute", [["Concat(x, x) -> y"]]],
    ["an attribute of the wrong kind", [["Concat(x, x) -> y", { axis: "one" }]]],
  ];
  test.each(broken)("%s: E_MODEL_PARSE", (_, nodes) => {
    expect(modelCode({ nodes })).toBe("E_MODEL_PARSE");
  });

  test("an input too many, an attribute that is unknown: E_MODEL_OP", () => {
    expect(modelCode({ nodes: [["Neg(x, x) -> y"]] })).toBe("E_MODEL_OP");
    expect(modelCode({ nodes: [["Neg(x) -> y", { speed: 3 }]] })).toBe("E_MODEL_OP");
  });

  test("an attribute that is given twice, a model without outputs or image: typed errors", () => {
    const graph = graphOf([["Concat(x, x) -> y", { axis: 1 }]], ["y"]);
    const [concat = node([""])] = graph.node;
    const twice = { ...concat, attribute: [...concat.attribute, ...concat.attribute] };
    const shape = { dim: [2, 3, 6, 5].map((dimValue) => ({ dimValue })) };
    const input = [{ name: "x", type: { tensorType: { elemType: 1, shape } } }];
    const head = { irVersion: 8, opsetImport: [{ domain: "", version: 18 }] };
    const code = (changed: Partial<GraphProto>) =>
      codeOf(encodeModelProto({ ...head, graph: { ...graph, input, ...changed } }));
    expect(code({ node: [twice] })).toBe("E_MODEL_PARSE");
    expect(code({ output: [] })).toBe("E_MODEL_PARSE");
    expect(code({ input: [] })).toBe("E_MODEL_SHAPE");
    expect(code({ input: [...input, ...input] })).toMatch(/E_MODEL_(PARSE|SHAPE)/);
  });

  test("every cut of a file is refused with a typed error, and random bytes are", () => {
    const whole = encodeForeign({
      nodes: [["Conv(x, w) -> c"], ["Relu(c) -> y"]],
      initializers: [weights("w", [2, 3, 1, 1])],
    });
    for (let length = 0; length < whole.length; length++)
      try {
        importModel(whole.subarray(0, length), OPTIONS);
      } catch (error) {
        expect(error).toBeInstanceOf(MttcError);
      }
    for (let seed = 1; seed <= 300; seed++) {
      const noise = Uint8Array.from({ length: 64 }, (_, i) => Math.abs(Math.sin(seed * 999 + i) * 1e6) % 256);
      expect(codeOf(noise)).toMatch(/^E_MODEL_/);
    }
    expect(codeOf(new Uint8Array())).toBe("E_MODEL_PARSE");
  });

  test("every flipped byte of a file gives a model or a typed error", () => {
    const nodes = [
      ["Conv(x, w) -> c", { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }],
      ["Shape(c) -> s"],
      ["Slice(s, from, to) -> t"],
      ["Concat(t, rest) -> r", { axis: 0 }],
      ["Reshape(c, r) -> d"],
      ["Split(d) -> e, f", { axis: 1 }],
      ["MaxPool(e) -> y", { kernel_shape: [2, 2], strides: [2, 2] }],
    ] satisfies readonly NodeText[];
    const initializers = [
      weights("w", [4, 3, 3, 3]),
      ints("from", [0]),
      ints("to", [2]),
      ints("rest", [5, 6]),
    ];
    const whole = encodeForeign({ opset: 13, nodes, initializers });
    importTrunk(whole, OPTIONS);
    for (let at = 0; at < whole.length; at++)
      for (const flip of [0x01, 0x10, 0x80, 0xff]) {
        const damaged = whole.slice();
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        try {
          importTrunk(damaged, OPTIONS);
        } catch (error) {
          expect(error, `byte ${at} by ${flip}`).toBeInstanceOf(MttcError);
        }
      }
  });
});
