// Nodes of an ONNX graph written directly, for parts whose sizes are known only when the graph runs: the IR
// infers every shape, ONNX need not. Values are names; what is made here goes in front of a finished graph.
import type { AttributeProto, NodeProto, TensorProto } from "../codec/protobuf.ts";
import { ONNX_DTYPES, tensorBytes } from "../codec/tensorBytes.ts";
import type { DType } from "../ir/types.ts";

/** AttributeProto.AttributeType of the kinds that are used here. */
const [INT, STRING, INTS] = [2, 3, 7];

/** Collects nodes and constants; names begin with `prefix` and a slash. */
export class OnnxNodes {
  readonly nodes: NodeProto[] = [];
  readonly constants: TensorProto[] = [];
  readonly #prefix: string;
  readonly #constantNames = new Map<string, string>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** One node with one output, whose name is returned. */
  op(
    opType: string,
    input: readonly string[],
    attributes: Readonly<Record<string, number | string | readonly number[]>> = {},
  ): string {
    const name = `${this.#prefix}/${opType}:${this.nodes.length}`;
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.nodes.push({ name, opType, input, output: [name], attribute, docString: this.#prefix });
    return name;
  }

  cast(x: string, dtype: DType): string {
    return this.op("Cast", [x], { to: ONNX_DTYPES[dtype] });
  }

  /** A constant; the same numbers in the same shape are one. */
  constant(dtype: DType, values: readonly number[], shape: readonly number[] = [values.length]): string {
    const key = `${dtype}[${shape}] ${values}`;
    const known = this.#constantNames.get(key);
    if (known !== undefined) return known;
    const name = `${this.#prefix}/constant:${this.constants.length}`;
    const rawData = tensorBytes({ dtype, shape, data: Float64Array.from(values) });
    this.constants.push({ name, dims: shape, dataType: ONNX_DTYPES[dtype], rawData });
    this.#constantNames.set(key, name);
    return name;
  }

  ints(...values: number[]): string {
    return this.constant("int64", values);
  }

  /** Sizes [1] one after the other: a shape. */
  shape(...sizes: string[]): string {
    return this.op("Concat", sizes, { axis: 0 });
  }
}

function attributeOf(name: string, value: number | string | readonly number[]): AttributeProto {
  if (typeof value === "number") return { name, type: INT, i: value };
  if (typeof value === "string") return { name, type: STRING, s: new TextEncoder().encode(value) };
  return { name, type: INTS, ints: value };
}
