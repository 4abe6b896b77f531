// The IR's data: types, values, nodes, graphs. SSA and immutable; operators, attributes and semantics are
// ONNX's at opset 18, plus a few operators of our own (domain "mttc") that `lower/` turns into standard ones.
// Invariants (kept by verify.ts): every value is defined once and before its uses; names are unique in a
// graph.
import { InternalError, MttcError } from "../diagnostics.ts";
import type { Op } from "./op.ts";
import type { GraphPurpose, TensorRole } from "./roles.ts";

/** ONNX element types that graphs of ours use. */
export type DType = "float32" | "float64" | "float16" | "uint8" | "uint16" | "int32" | "int64" | "bool";

/**
 * A dimension: a size, or a named symbol ("N") that is known only when the graph runs, or a multiple of one
 * ("4*N", dims.ts).
 */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** What a value is: element type and shape; `[]` is a scalar. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** What the compiler must know of the place where a value was made; the origin says it to people. */
export interface Region {
  /** Part of the network: `fcn`, `shared_layers` or `tasks.<task>`; absent for what belongs to none. */
  readonly part?: string | undefined;
  /** Computed in float32, whatever the precision of the step. */
  readonly isFloat32?: boolean;
}

/**
 * One SSA value. `origin` is the spec path that it comes from (`tasks.species.task_layers[2]`), or
 * `gradient(<origin>)`; `name` starts with it and is unique in the graph. Identity is the object.
 */
export interface Value {
  readonly name: string;
  readonly type: TensorType;
  readonly origin: string;
  readonly region?: Region | undefined;
  /** What an input of a bundle's graph is for; no other value has one. */
  readonly role?: TensorRole | undefined;
}

/** Attribute values as ONNX has them; which kind of number is meant stands in the op's attribute table. */
export type AttrValue = number | string | readonly number[];
export type Attrs = Readonly<Record<string, AttrValue>>;

/** One application of an operator; an omitted optional input is `undefined`. */
export interface Node {
  readonly op: Op;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attrs: Attrs;
}

/**
 * Numbers behind a constant. Integers (int64 too, up to 2^53) are stored as plain numbers; bool as 0 and 1.
 */
export interface TensorData {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

/** A named result of a graph. */
export interface Output {
  readonly name: string;
  readonly value: Value;
  /** What it is for; outputs of a bundle's graphs have one. */
  readonly role?: TensorRole | undefined;
}

/** A whole graph; `nodes` are in topological order. */
export interface Graph {
  readonly name: string;
  /** What it is for; graphs of a bundle have one. */
  readonly purpose?: GraphPurpose | undefined;
  readonly inputs: readonly Value[];
  readonly constants: ReadonlyMap<Value, TensorData>;
  readonly nodes: readonly Node[];
  readonly outputs: readonly Output[];
}

/** Number of elements of a shape without symbols; E_SHAPE when it has one. */
export function elementCount(shape: Shape): number {
  let count = 1;
  for (const dim of shape) count *= concreteDim(dim);
  return count;
}

/** The size of a dimension that must be known at compile time; E_SHAPE for a symbol. */
export function concreteDim(dim: Dim | undefined): number {
  if (typeof dim === "number") return dim;
  throw new MttcError({ code: "E_SHAPE", message: `expected a known size, found the symbol ${String(dim)}` });
}

/** All dimensions of a shape that must be known at compile time; E_SHAPE for a symbol. */
export function concreteShape(shape: Shape): number[] {
  return shape.map(concreteDim);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

export function sameType(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape);
}

export function isFloat(dtype: DType): boolean {
  return dtype === "float32" || dtype === "float64" || dtype === "float16";
}

const SHORT_DTYPES: Readonly<Record<DType, string>> = {
  float32: "f32",
  float64: "f64",
  float16: "f16",
  uint8: "u8",
  uint16: "u16",
  int32: "i32",
  int64: "i64",
  bool: "bool",
};

/** `f32[32,3,64,64]`; a scalar is `f32[]`. */
export function typeText(type: TensorType): string {
  return `${SHORT_DTYPES[type.dtype]}[${type.shape.join(",")}]`;
}

/** Reads what typeText wrote. */
export function parseTypeText(text: string): TensorType {
  const match = /^(\w+)\[([^\]]*)\]$/.exec(text);
  const dtype = Object.entries(SHORT_DTYPES).find(([, short]) => short === match?.[1])?.[0];
  if (!match || dtype === undefined) throw new InternalError(`not a tensor type: ${text}`);
  const dims = (match[2] ?? "") === "" ? [] : (match[2] ?? "").split(",");
  return { dtype: dtype as DType, shape: dims.map((dim) => (/^\d+$/.test(dim) ? Number(dim) : dim)) };
}

/** Bytes of one element, as ONNX stores it. */
export function dtypeBytes(dtype: DType): number {
  if (dtype === "float64" || dtype === "int64") return 8;
  if (dtype === "float16" || dtype === "uint16") return 2;
  return dtype === "uint8" || dtype === "bool" ? 1 : 4;
}
