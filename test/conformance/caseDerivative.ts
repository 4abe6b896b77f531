// The derivative of a case's graph: the reverse sweep against central differences of the float64 reference,
// and the sweep's graph on ONNX Runtime against itself.
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { type Graph, isFloat, type Value } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { CONFORMANCE_GRADIENT, CONFORMANCE_KINK } from "../tolerances.ts";

/** Checks of one case: one for each float input by differences, one for the case by ONNX Runtime. */
export interface DerivativeChecks {
  readonly agree: number;
  readonly faults: readonly string[];
}

/** Elements of an input that differences are taken of. */
const ELEMENTS = 12;
/** Distance of the points of a difference from the middle, relative to max(1, |x|). */
const STEP = 1e-5;
/** A slope beyond this is a jump of the function, or a pole: it has no derivative there. */
const JUMP = 1e4;

interface Sweep {
  /** Outputs "gradient/<input>". */
  readonly graph: Graph;
  readonly feeds: ReadonlyMap<string, NDArray>;
  readonly inputs: readonly Value[];
}

/** Nothing is checked where no float output depends on a float input, or a value is not finite. */
export function checkDerivative(
  library: OrtLibrary,
  graph: Graph,
  feeds: ReadonlyMap<string, NDArray>,
): DerivativeChecks {
  const values = interpret(graph, feeds);
  const inputs = graph.inputs.filter(({ type, name }) => isFloat(type.dtype) && feeds.has(name));
  const outputs = graph.outputs.filter(({ value }) => isFloat(value.type.dtype));
  const areFinite = outputs.every(({ name }) => values.get(name)?.data.every(Number.isFinite));
  if (inputs.length === 0 || outputs.length === 0 || !areFinite) return { agree: 0, faults: [] };
  let sweep: Sweep;
  try {
    sweep = sweepOf(graph, feeds, inputs);
  } catch (error) {
    if (error instanceof MttcError && error.code === "E_NOT_DIFFERENTIABLE") return { agree: 0, faults: [] };
    return { agree: 0, faults: [`the sweep: ${String(error)}`] };
  }
  const found = interpret(sweep.graph, sweep.feeds);
  const faults: string[] = [];
  for (const input of inputs) faults.push(...differenceFaults(graph, sweep, input.name, found));
  faults.push(...ortFaults(library, sweep, found));
  return { agree: inputs.length + 1 - faults.length, faults };
}

/** The objective is the sum of all float outputs, each element weighted by a drawn number. */
function sweepOf(graph: Graph, given: ReadonlyMap<string, NDArray>, inputs: readonly Value[]): Sweep {
  const b = new GraphBuilder(graph.name, OPS);
  const feeds = new Map(given);
  const own = new Map(graph.inputs.map(({ name, type }) => [name, b.input(name, type.dtype, type.shape)]));
  const outputs = b.inline(graph, own);
  const random = randomFrom(graph.name);
  const terms: Value[] = [];
  for (const { name, value } of graph.outputs) {
    if (!isFloat(value.type.dtype)) continue;
    const y = outputs.get(name)!;
    const shape = y.type.shape.map(Number);
    const weights = Float64Array.from({ length: shape.reduce((n, dim) => n * dim, 1) }, () => 0.5 + random());
    feeds.set(weightName(name), { dtype: y.type.dtype, shape, data: weights });
    const weighted = b.mul(y, b.input(weightName(name), y.type.dtype, shape));
    const sum = b.reduceSum(
      weighted,
      shape.map((_, axis) => axis),
      0,
    );
    terms.push(sum.type.dtype === "float32" ? sum : b.cast(sum, "float32"));
  }
  const objective = terms.reduce((sum, term) => b.add(sum, term));
  const wanted = inputs.map(({ name }) => own.get(name)!);
  for (const [input, gradient] of appendGradients(b, objective, wanted))
    b.output(gradientName(input.name), gradient);
  return { graph: b.build(), feeds, inputs };
}

const weightName = (output: string): string => `weight/${output}`;
const gradientName = (input: string): string => `gradient/${input}`;

/** At most one fault: the first element whose derivative differs, kinks of the function left out. */
function differenceFaults(
  graph: Graph,
  { feeds }: Sweep,
  name: string,
  found: ReadonlyMap<string, NDArray>,
): string[] {
  const array = feeds.get(name)!;
  const gradient = found.get(gradientName(name))?.data ?? new Float64Array();
  const objective = (element: number, by: number): number => {
    const data = array.data.with(element, array.data[element]! + by);
    const values = interpret(graph, new Map(feeds).set(name, { ...array, data }));
    let sum = 0;
    for (const [output, { data: y }] of values)
      feeds.get(weightName(output))?.data.forEach((weight, i) => {
        sum += weight * y[i]!;
      });
    return sum;
  };
  const stride = Math.max(1, Math.floor(array.data.length / ELEMENTS));
  const scale = Math.max(1, normOf(gradient) / Math.sqrt(gradient.length));
  const here = array.data.length > 0 ? objective(0, 0) : 0;
  for (let element = 0; element < array.data.length; element += stride) {
    if (!Number.isFinite(array.data[element])) continue;
    const step = STEP * Math.max(1, Math.abs(array.data[element]!));
    const [before, after] = [objective(element, -step), objective(element, step)];
    // Beyond an edge of where the function is defined.
    if (!Number.isFinite(before) || !Number.isFinite(after)) continue;
    const [left, right] = [(here - before) / step, (after - here) / step];
    if (Math.max(Math.abs(left), Math.abs(right)) > JUMP * Math.max(1, Math.abs(here))) continue;
    if (Math.abs(left - right) > CONFORMANCE_KINK * Math.max(1, Math.abs(left), Math.abs(right))) continue;
    const expected = (after - before) / (2 * step);
    const off = Math.abs(gradient[element]! - expected);
    if (!(off <= CONFORMANCE_GRADIENT * Math.max(scale, Math.abs(here) * 1e-3)))
      return [`${name}[${element}]: ${gradient[element]}, by differences ${expected}`];
  }
  return [];
}

function ortFaults(library: OrtLibrary, sweep: Sweep, expected: ReadonlyMap<string, NDArray>): string[] {
  let found: ReadonlyMap<string, NDArray>;
  try {
    found = runOnOrt(library, sweep.graph, sweep.feeds, OPS);
  } catch (error) {
    return [`ONNX Runtime refuses the sweep: ${String(error)}`];
  }
  for (const [name, { data }] of expected) {
    // An infinite slope at an edge is one on ONNX Runtime, too, or the largest number: not compared.
    const finite = data.filter(Number.isFinite);
    const norm = Math.max(1, normOf(finite));
    const actual = (found.get(name)?.data ?? new Float64Array()).filter((_, i) => Number.isFinite(data[i]));
    const off = normOf(finite.map((wanted, i) => (actual[i] ?? Number.NaN) - wanted));
    if (!(off <= CONFORMANCE_GRADIENT * norm)) return [`${name} on ONNX Runtime: off by ${off} of ${norm}`];
  }
  return [];
}

/** Euclidean norm, of arrays of any length. */
function normOf(numbers: Float64Array): number {
  return Math.sqrt(numbers.reduce((sum, each) => sum + each * each, 0));
}
