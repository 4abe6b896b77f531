// What an operator is: one object with its shape rule, derivative, float64 reference and, for our own, its
// lowering. Families of ops live in compiler/ops/, one line each in ops/table.ts. Shared code asks traits,
// never names.
import { InternalError, MttcError } from "../diagnostics.ts";
import type { GraphBuilder } from "./builder.ts";
import type { OpName } from "./opNames.ts";
import type { OpTraits, OptionalTraits } from "./opTraits.ts";
import type { Attrs, AttrValue, TensorData, TensorType, Value } from "./types.ts";

/**
 * One attribute: its ONNX kind and its default; without a default it is compulsory, `null` means may be
 * absent.
 */
export interface AttrSpec {
  readonly kind: "int" | "float" | "string" | "ints" | "floats";
  readonly default?: AttrValue | null;
}

/**
 * A float64 array for the reference interpreter, row-major. Every dtype is held in float64; bool is 0 and 1.
 */
export interface NDArray {
  readonly dtype: TensorType["dtype"];
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** Typed access to a node's attributes with the op's defaults filled in. */
export interface AttrReader {
  int(name: string): number;
  float(name: string): number;
  string(name: string): string;
  ints(name: string): readonly number[];
  /** Whether the attribute is set, or has a default other than null. */
  has(name: string): boolean;
}

export interface InferContext {
  readonly inputs: readonly (TensorType | undefined)[];
  /** Values of the inputs that are constants: some shape rules (Reshape, Slice) depend on them. */
  readonly constants: readonly (TensorData | undefined)[];
  readonly attrs: AttrReader;
  /** Type of a compulsory input. */
  input(index: number): TensorType;
  /** The numbers of an input that must be a constant; E_SHAPE otherwise. */
  constant(index: number): number[];
  /** Throws E_SHAPE naming the op. */
  fail(message: string): never;
}

export interface VjpContext {
  readonly b: GraphBuilder;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  /** One per output; `undefined` stands for zero. At least one is defined. */
  readonly cotangents: readonly (Value | undefined)[];
  readonly attrs: AttrReader;
  /** Whether the cotangent of input i is wanted: a rule may skip the others. */
  readonly needs: readonly boolean[];
  input(index: number): Value;
  output(index: number): Value;
  /** The cotangent of output 0; an InternalError if it is zero. */
  readonly dy: Value;
}

/** Cotangents of the inputs, in order; `undefined` stands for zero (or: not wanted). */
export type Vjp = (ctx: VjpContext) => readonly (Value | undefined)[];

/** Stands where a derivative would: the reason appears in the error E_NOT_DIFFERENTIABLE. */
export interface NotDifferentiable {
  readonly notDifferentiable: string;
  /**
   * True when the derivative is zero everywhere it exists (Greater, Floor): cotangents stop here silently.
   */
  readonly isZero: boolean;
}

export interface EvaluateContext {
  readonly inputs: readonly (NDArray | undefined)[];
  readonly attrs: AttrReader;
  /** Types of the outputs with every symbol replaced by its size. */
  readonly outputs: readonly TensorType[];
  input(index: number): NDArray;
}

export interface LowerContext {
  readonly b: GraphBuilder;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attrs: AttrReader;
  input(index: number): Value;
}

/** Rewrites one node into standard ops; returns a value for each output. */
export type Lowering = (ctx: LowerContext) => readonly Value[];

/** An operator; `Form` are the names of its forms. */
export interface Op<Form extends string = string> extends OpTraits {
  readonly name: OpName;
  /**
   * "" is ai.onnx at opset 18; "mttc" marks our own, which never reaches a file; "com.microsoft" is ONNX
   * Runtime's, at version 1, which only lowerings emit, and so is "com.microsoft.nchwc"; "com.mttc" is what
   * our runtime computes itself, at version 1.
   */
  readonly domain: "" | "mttc" | "com.mttc" | "com.microsoft" | "com.microsoft.nchwc";
  /** The operator's name in a file, where that is not `name`: several of ours may be one there. */
  readonly opType?: string;
  readonly doc: string;
  /** The ONNX operator and version, or the paper. */
  readonly source: string;
  /** Input names in order; a trailing "?" marks an optional one, "*" (last only) any number of them. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attrs: Readonly<Record<string, AttrSpec>>;
  readonly infer: (ctx: InferContext) => readonly TensorType[];
  readonly vjp: Vjp | NotDifferentiable;
  readonly evaluate: (ctx: EvaluateContext) => readonly NDArray[];
  /**
   * Of what depends on other processes: the results of each process by what all of them have, by rank.
   * `evaluate` is then the case that all have the same.
   */
  readonly evaluateTogether: EvaluateTogether | undefined;
  /**
   * Named forms in standard ops, for our own ops and for those that a target may have in another spelling;
   * its table (lower/) chooses among them.
   */
  readonly lower: Forms<Form>;
}

/** The results of processes that run a node together. */
export type EvaluateTogether = (processes: readonly EvaluateContext[]) => readonly (readonly NDArray[])[];

/** Lowerings by the form's name. */
export type Forms<Form extends string = string> = Readonly<Record<Form, Lowering>>;

/** What an entry may leave out. */
type Defaulted = "domain" | "attrs" | "traits" | "outputs" | "evaluateTogether" | keyof OptionalTraits;

export type OpTable = ReadonlyMap<string, Op>;

/** What an entry that leaves it out states. */
const DEFAULTS: Pick<Op, Defaulted> = {
  domain: "",
  attrs: {},
  traits: [],
  outputs: ["y"],
  evaluateTogether: undefined,
  hostInputs: [],
  flops: undefined,
  identity: undefined,
  channelGain: undefined,
};

/** Completes an op entry: standard domain, no attributes, no more traits, no forms unless given. */
export function defineOp<Form extends string = never>(
  name: OpName,
  entry: Omit<Op, "name" | "lower" | Defaulted> &
    Partial<Pick<Op, Defaulted>> & { readonly lower?: Forms<Form> },
): Op<Form> {
  // Without forms given there are no names of them.
  const { lower = {} as Forms<Form>, ...rest } = entry;
  return Object.freeze({ ...DEFAULTS, ...rest, lower, name });
}

/** The derivative exists and is zero almost everywhere: cotangents end here. */
export function zeroDerivative(reason: string): NotDifferentiable {
  return { notDifferentiable: reason, isZero: true };
}

/** There is no derivative rule; asking for one is an error that carries the reason. */
export function notDifferentiable(reason: string): NotDifferentiable {
  return { notDifferentiable: reason, isZero: false };
}

/** Reads `attrs` with the defaults of `op`; an InternalError for a name or kind that the op does not have. */
export function readAttrs(op: Op, attrs: Attrs): AttrReader {
  const find = (name: string, kinds: readonly AttrSpec["kind"][]): AttrValue => {
    const spec = op.attrs[name];
    if (!spec || !kinds.includes(spec.kind))
      throw new InternalError(`${op.name} has no ${kinds[0]} attribute ${name}`);
    const value = attrs[name] ?? spec.default;
    if (value === undefined || value === null) throw new InternalError(`${op.name} needs attribute ${name}`);
    return value;
  };
  return {
    int: (name) => find(name, ["int"]) as number,
    float: (name) => find(name, ["float"]) as number,
    string: (name) => find(name, ["string"]) as string,
    ints: (name) => find(name, ["ints", "floats"]) as readonly number[],
    has: (name) => (attrs[name] ?? op.attrs[name]?.default ?? null) !== null,
  };
}

/** Runs the shape rule of `op`; E_SHAPE names the op and, if given, where the node comes from. */
export function inferTypes(
  op: Op,
  inputs: readonly (TensorType | undefined)[],
  constants: readonly (TensorData | undefined)[],
  attrs: Attrs,
  origin: string,
): readonly TensorType[] {
  const fail = (message: string): never => {
    throw new MttcError({ code: "E_SHAPE", message: `${op.name}: ${message}`, at: { path: origin } });
  };
  return op.infer({
    inputs,
    constants,
    attrs: readAttrs(op, attrs),
    input: (index) => inputs[index] ?? fail(`input ${op.inputs[index] ?? index} is missing`),
    constant: (index) =>
      Array.from(constants[index]?.data ?? fail(`input ${op.inputs[index] ?? index} must be constant`)),
    fail,
  });
}
