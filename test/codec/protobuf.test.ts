// The ONNX codec: round trips, foreign spellings of payloads and types, and hostile bytes.
import protobuf from "protobufjs/light.js";
import { describe, expect, test } from "vitest";
import {
  ATTRIBUTE_TYPE,
  type AttributeProto,
  DATA_LOCATION,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from "../../compiler/codec/onnxSchema.ts";
import { decodeModelProto, encodeModelProto } from "../../compiler/codec/protobuf.ts";
import { MttcError } from "../../compiler/diagnostics.ts";

const text = (value: string) => new TextEncoder().encode(value);
const tensor = { name: "w", dims: [2], dataType: 1, rawData: new Uint8Array([0, 0, 128, 63, 0, 0, 0, 64]) };
const emptyGraph: GraphProto = { name: "inner", node: [], initializer: [], input: [], output: [] };

const attributes: AttributeProto[] = [
  { name: "f", type: ATTRIBUTE_TYPE.float, f: 0.5 },
  { name: "zero", type: ATTRIBUTE_TYPE.float, f: 0 },
  { name: "i", type: ATTRIBUTE_TYPE.int, i: -7 },
  { name: "s", type: ATTRIBUTE_TYPE.string, s: text("naïve") },
  { name: "t", type: ATTRIBUTE_TYPE.tensor, t: tensor },
  { name: "g", type: ATTRIBUTE_TYPE.graph, g: emptyGraph },
  { name: "floats", type: ATTRIBUTE_TYPE.floats, floats: [1, -0.25] },
  {
    name: "ints",
    type: ATTRIBUTE_TYPE.ints,
    ints: [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  },
  { name: "strings", type: ATTRIBUTE_TYPE.strings, strings: [text("a"), text("")] },
  { name: "tensors", type: ATTRIBUTE_TYPE.tensors, tensors: [tensor] },
  { name: "graphs", type: ATTRIBUTE_TYPE.graphs, graphs: [emptyGraph] },
];

const inner: NodeProto = {
  name: "",
  opType: "LeakyRelu",
  input: ["x"],
  output: ["y"],
  attribute: [{ name: "alpha", type: ATTRIBUTE_TYPE.float, refAttrName: "slope" }],
};

const model: ModelProto = {
  irVersion: 8,
  functions: [
    {
      name: "Leaky",
      domain: "local",
      overload: "float",
      input: ["x"],
      output: ["y"],
      attribute: [],
      attributeProto: [{ name: "slope", type: ATTRIBUTE_TYPE.float, f: 0.5 }],
      node: [inner],
      opsetImport: [{ domain: "", version: 18 }],
    },
  ],
  opsetImport: [
    { domain: "", version: 18 },
    { domain: "com.microsoft", version: 1 },
  ],
  producerName: "mttc",
  graph: {
    name: "train",
    node: [
      {
        name: "tasks.species.layers[2]/Conv",
        opType: "Conv",
        domain: "mttc",
        input: ["x", "", "w"],
        output: ["y"],
        attribute: attributes,
        docString: "gradient of tasks.species",
      },
    ],
    initializer: [
      tensor,
      {
        name: "big",
        dims: [1024],
        dataType: 1,
        dataLocation: DATA_LOCATION.external,
        externalData: [
          { key: "location", value: "constants.bin" },
          { key: "offset", value: "0" },
        ],
      },
    ],
    input: [
      {
        name: "x",
        type: {
          tensorType: {
            elemType: 2,
            shape: { dim: [{ dimParam: "N" }, { dimValue: 0 }, {}, { dimValue: 3 }] },
          },
        },
      },
    ],
    output: [{ name: "y", type: { tensorType: { elemType: 1 } } }],
    valueInfo: [{ name: "z", type: {} }],
  },
  metadataProps: [{ key: "classes", value: '["a","b"]' }],
};

/** Raw protobuf pieces for files that our encoder cannot write. */
function field(id: number, ...parts: Uint8Array[]): Uint8Array {
  const body = new Uint8Array(parts.flatMap((part) => [...part]));
  return new protobuf.Writer()
    .uint32((id << 3) | 2)
    .bytes(body)
    .finish();
}
function varint(id: number, value: number): Uint8Array {
  return new protobuf.Writer()
    .uint32(id << 3)
    .int64(value)
    .finish();
}
function packed(...values: number[]): Uint8Array {
  const writer = new protobuf.Writer();
  for (const value of values) writer.int64(value);
  return writer.finish();
}
const modelWith = (...tensorFields: Uint8Array[]) => field(7, field(5, ...tensorFields));

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof MttcError) return error.code;
    throw error;
  }
  return "no error";
}

describe("ONNX codec", () => {
  test("a model of every attribute kind comes back as it went in", () => {
    expect(decodeModelProto(encodeModelProto(model))).toEqual(model);
  });

  test("encoding is deterministic and stable under a second round", () => {
    const bytes = encodeModelProto(model);
    expect(encodeModelProto(model)).toEqual(bytes);
    expect(encodeModelProto(decodeModelProto(bytes))).toEqual(bytes);
    expect(bytes.constructor).toBe(Uint8Array);
  });

  test("the bytes are those that onnx.proto prescribes", () => {
    const small: ModelProto = { irVersion: 8, opsetImport: [{ domain: "", version: 18 }], graph: emptyGraph };
    expect([...encodeModelProto(small)]).toEqual([
      ...[0x08, 8],
      ...[0x3a, 7, 0x12, 5, ...text("inner")],
      ...[0x42, 4, 0x0a, 0, 0x10, 18],
    ]);
  });

  test("int64_data of several packed chunks becomes rawData", () => {
    const bytes = modelWith(varint(1, 3), varint(2, 7), field(7, packed(1, -2)), field(7, packed(300)));
    const [read] = decodeModelProto(bytes).graph.initializer;
    expect(new BigInt64Array(read?.rawData?.slice().buffer ?? new ArrayBuffer(0))).toEqual(
      new BigInt64Array([1n, -2n, 300n]),
    );
  });

  test("int32_data holds narrow types, float_data and double_data are taken as they are", () => {
    const half = modelWith(varint(1, 2), varint(2, 10), field(5, packed(0x3c00, 0xc000)));
    expect(decodeModelProto(half).graph.initializer[0]?.rawData).toEqual(new Uint8Array([0, 0x3c, 0, 0xc0]));
    const int32 = modelWith(varint(1, 1), varint(2, 6), field(5, packed(-2)));
    expect(decodeModelProto(int32).graph.initializer[0]?.rawData).toEqual(
      new Uint8Array([254, 255, 255, 255]),
    );
    const floats = modelWith(varint(1, 1), varint(2, 1), field(4, new Uint8Array([1, 2, 3, 4])));
    expect(decodeModelProto(floats).graph.initializer[0]?.rawData).toEqual(new Uint8Array([1, 2, 3, 4]));
  });

  test("fields that mttc does not know are skipped", () => {
    const known = encodeModelProto(model);
    const bytes = new Uint8Array([...known, ...field(26, text("a configuration")), ...varint(99, 5)]);
    expect(decodeModelProto(bytes)).toEqual(model);
  });

  test("packed attribute integers of proto3 writers are read", () => {
    const attribute = field(5, field(1, text("pads")), field(8, packed(1, -1)), new Uint8Array([0xa0, 1, 7]));
    const bytes = field(7, field(1, attribute));
    expect(decodeModelProto(bytes).graph.node[0]?.attribute[0]).toMatchObject({ ints: [1, -1], type: 7 });
  });
});

describe("hostile bytes", () => {
  test("every truncation is refused with E_MODEL_PARSE or is a shorter valid model", () => {
    const bytes = encodeModelProto(model);
    const outcomes = new Set<string>();
    for (let length = 0; length < bytes.length; length++)
      outcomes.add(codeOf(() => decodeModelProto(bytes.subarray(0, length))));
    expect([...outcomes].sort()).toEqual(["E_MODEL_PARSE", "no error"]);
    expect(codeOf(() => decodeModelProto(new Uint8Array()))).toBe("E_MODEL_PARSE");
  });

  test("flipped bytes never give another kind of error", () => {
    const bytes = encodeModelProto(model);
    for (let at = 0; at < bytes.length; at++)
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = bytes.slice();
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        expect(["E_MODEL_PARSE", "E_MODEL_SHAPE", "no error"]).toContain(
          codeOf(() => decodeModelProto(damaged)),
        );
      }
  });

  test.each([
    ["text", text("this is not a model")],
    ["an integer beyond 2^53", modelWith(varint(1, 2 ** 60))],
    ["a payload of the wrong size", modelWith(varint(1, 3), varint(2, 1), field(9, new Uint8Array(8)))],
    ["a payload that is missing", modelWith(varint(1, 3), varint(2, 1))],
    ["an integer cut short", modelWith(varint(1, 1), varint(2, 7), field(7, new Uint8Array([0x80])))],
  ])("%s is refused with E_MODEL_PARSE", (_, bytes) => {
    expect(codeOf(() => decodeModelProto(bytes))).toBe("E_MODEL_PARSE");
  });

  test.each([
    ["a negative dimension", modelWith(varint(1, -1), varint(2, 1))],
    ["a huge dimension", modelWith(varint(1, 2 ** 52), varint(1, 2 ** 52), varint(2, 1))],
  ])("%s is refused with E_MODEL_SHAPE", (_, bytes) => {
    expect(codeOf(() => decodeModelProto(bytes))).toBe("E_MODEL_SHAPE");
  });

  test("depth is bounded", () => {
    let graph: GraphProto = emptyGraph;
    for (let depth = 0; depth < 200; depth++) {
      const attribute = [{ name: "body", type: ATTRIBUTE_TYPE.graph, g: graph }];
      graph = { ...emptyGraph, node: [{ name: "", opType: "If", input: [], output: [], attribute }] };
    }
    let bytes = field(1, text("deep"));
    for (let depth = 0; depth < 200; depth++) bytes = field(1, field(5, field(6, bytes)));
    expect(codeOf(() => decodeModelProto(field(7, bytes)))).toBe("E_MODEL_PARSE");
    expect(codeOf(() => encodeModelProto({ ...model, graph }))).toBe("E_MODEL_PARSE");
  });

  test("size, fields and listed integers are bounded", () => {
    const bytes = encodeModelProto(model);
    expect(codeOf(() => decodeModelProto(bytes, { maxBytes: 100 }))).toBe("E_MODEL_PARSE");
    expect(codeOf(() => decodeModelProto(bytes, { maxFields: 50 }))).toBe("E_MODEL_PARSE");
    const listed = modelWith(varint(1, 1000), varint(2, 7), field(7, new Uint8Array(1000)));
    expect(codeOf(() => decodeModelProto(listed))).toBe("no error");
    expect(codeOf(() => decodeModelProto(listed, { maxListedIntegers: 999 }))).toBe("E_MODEL_PARSE");
    const attribute = field(7, field(1, field(5, field(8, new Uint8Array(1000)))));
    expect(codeOf(() => decodeModelProto(attribute, { maxListedIntegers: 999 }))).toBe("E_MODEL_PARSE");
  });

  test("an int64 field that is not a safe integer is not written", () => {
    expect(codeOf(() => encodeModelProto({ ...model, irVersion: 2 ** 53 }))).toBe("E_MODEL_PARSE");
    expect(codeOf(() => encodeModelProto({ ...model, irVersion: 1.5 }))).toBe("E_MODEL_PARSE");
  });
});
