// From a sample to graphs: numbers for its inputs (seeded, away from ties and from 0), the graph of the
// operator alone, and the graph of the operator with its derivative. Gradient checks and ONNX Runtime tests
// run the same graphs.
import { cotangentFault } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { type NDArray, type Op, type OpTable, readAttrs } from "../../compiler/ir/op.ts";
import { concreteShape, elementCount, type Graph, isFloat, type Value } from "../../compiler/ir/types.ts";
import type { Sample, SampleInput } from "./samples/sample.ts";

/** Numbers that are drawn lie at least this far from each other and from 0. */
const GAP = 1e-3;

/**
 * A sample with numbers: `arrays[i]` is input i, `feeds` holds those that are inputs of the graph, by name.
 */
export interface DrawnSample {
  readonly op: Op;
  readonly sample: Sample;
  readonly arrays: readonly (NDArray | undefined)[];
  readonly feeds: ReadonlyMap<string, NDArray>;
}

/** mulberry32, started from a text: the same text gives the same numbers of [0, 1). */
export function randomFrom(text: string): () => number {
  let state = [...text].reduce((hash, char) => Math.imul(hash ^ char.charCodeAt(0), 16777619), 2166136261);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws the numbers of a sample, the same at every call. */
export function drawSample(op: Op, sample: Sample): DrawnSample {
  const random = randomFrom(`${op.name} ${sample.title}`);
  const taken: number[] = [0];
  const draw = (low: number, high: number): number => {
    for (let attempt = 0; attempt < 1000; attempt++) {
      const value = low + (high - low) * random();
      // Numbers that are drawn are float32 numbers, so that float32 and float64 start from the same ones.
      const kept = Math.fround(value);
      if (taken.every((other) => Math.abs(other - kept) > GAP)) {
        taken.push(kept);
        return kept;
      }
    }
    throw new Error(`${op.name} with ${sample.title}: too many numbers for [${low}, ${high}]`);
  };
  const arrays = sample.inputs.map((input) => input && drawInput(input, draw));
  const feeds = new Map<string, NDArray>();
  arrays.forEach((array, i) => {
    if (array && !sample.inputs[i]?.constant) feeds.set(inputName(i), array);
  });
  return { op, sample, arrays, feeds };
}

function drawInput(input: SampleInput, draw: (low: number, high: number) => number): NDArray {
  const { dtype = "float32", shape, low = -1, high = 1 } = input;
  const count = elementCount(shape);
  const data = input.data ?? Array.from({ length: count }, () => draw(low, high));
  if (data.length !== count) throw new Error(`${data.length} numbers for [${shape}]`);
  if (!input.data && !isFloat(dtype)) throw new Error(`a sample must name its ${dtype} numbers`);
  return { dtype, shape, data: Float64Array.from(data) };
}

function inputName(index: number): string {
  return `input${index}`;
}

/** The operator alone; outputs are named y0, y1, ... */
export function forwardGraph(drawn: DrawnSample, ops: OpTable): Graph {
  const { b, outputs } = emitForward(drawn, ops);
  outputs.forEach((output, i) => {
    b.output(`y${i}`, output);
  });
  return b.build();
}

/** The derivative's graph, and which inputs it differentiates. */
export interface DerivativeGraph {
  /**
   * Inputs: those of the forward graph and "cotangent<i>" of output i. Outputs: "d<i>", the cotangent of
   * input i.
   */
  readonly graph: Graph;
  readonly feeds: ReadonlyMap<string, NDArray>;
  /** Float inputs that are not constant. */
  readonly wanted: readonly number[];
  /** Those of them for which the rule gave a value, as it must unless the derivative is zero. */
  readonly given: ReadonlySet<number>;
  /** What the reverse sweep would refuse: too few cotangents, or of another type than their input. */
  readonly fault: string | undefined;
}

/** Calls the operator's VJP with random cotangents for all its float outputs, or for the output `only` alone. */
export function derivativeGraph(drawn: DrawnSample, ops: OpTable, only?: number): DerivativeGraph {
  const { op, sample } = drawn;
  const { b, inputs, outputs } = emitForward(drawn, ops);
  const random = randomFrom(`cotangents of ${op.name} ${sample.title}`);
  const feeds = new Map(drawn.feeds);
  const cotangents = outputs.map((output, i) => {
    if (!isFloat(output.type.dtype) || (only !== undefined && only !== i)) return undefined;
    const shape = concreteShape(output.type.shape);
    const data = Float64Array.from({ length: elementCount(shape) }, () => drawCotangent(random));
    feeds.set(`cotangent${i}`, { dtype: output.type.dtype, shape, data });
    return b.input(`cotangent${i}`, output.type.dtype, shape);
  });
  const wanted = inputs.flatMap((input, i) =>
    input && isFloat(input.type.dtype) && !sample.inputs[i]?.constant ? [i] : [],
  );
  const results = b.within("derivative", () =>
    callVjp(b, op, { inputs, outputs, cotangents, wanted, sample }),
  );
  const given = new Set<number>();
  for (const i of wanted) {
    const result = results?.[i];
    if (!result) continue;
    given.add(i);
    b.output(`d${i}`, result);
  }
  const fault = results && cotangentFault({ inputs }, results, needsOf(inputs, wanted));
  return { graph: b.build(), feeds, wanted, given, fault };
}

/** A float32 number of [0.5, 1.5] with either sign: none is so small that its gradient proves nothing. */
function drawCotangent(random: () => number): number {
  const sign = random() < 0.5 ? -1 : 1;
  return sign * Math.fround(0.5 + random());
}

interface Emitted {
  readonly b: GraphBuilder;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
}

function emitForward({ op, sample, arrays }: DrawnSample, ops: OpTable): Emitted {
  const b = new GraphBuilder(`${op.name} with ${sample.title}`, ops);
  const inputs = arrays.map((array, i) => {
    if (!array) return undefined;
    if (sample.inputs[i]?.constant) return b.constant(array);
    return b.input(inputName(i), array.dtype, array.shape);
  });
  return { b, inputs, outputs: b.emitAll(op.name, inputs, sample.attrs, sample.outputs ?? 1) };
}

function needsOf(inputs: Emitted["inputs"], wanted: readonly number[]): readonly boolean[] {
  return inputs.map((_, i) => wanted.includes(i));
}

/** What the rule gives; undefined where there is no rule, or nothing to ask it. */
function callVjp(
  b: GraphBuilder,
  op: Op,
  node: {
    readonly inputs: readonly (Value | undefined)[];
    readonly outputs: readonly Value[];
    readonly cotangents: readonly (Value | undefined)[];
    readonly wanted: readonly number[];
    readonly sample: Sample;
  },
): readonly (Value | undefined)[] | undefined {
  const { inputs, outputs, cotangents, wanted, sample } = node;
  const [dy] = cotangents;
  if (typeof op.vjp !== "function" || wanted.length === 0 || !cotangents.some(Boolean)) return undefined;
  const present = (value: Value | undefined): Value => {
    if (!value) throw new Error(`${op.name}: the VJP asks for what is absent`);
    return value;
  };
  return op.vjp({
    b,
    inputs,
    outputs,
    cotangents,
    attrs: readAttrs(op, sample.attrs ?? {}),
    needs: needsOf(inputs, wanted),
    input: (index) => present(inputs[index]),
    output: (index) => present(outputs[index]),
    get dy() {
      return present(dy);
    },
  });
}
