// Whether tensors fit a graph, before ORT sees them: every input given, names known, dtypes equal, shapes
// equal with one size per symbol, and no tensor both read and written (ORT accepts that and, in some node
// orders, computes silently wrong values). All faults are reported at once.
import { type Fault, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import type { DType } from "../../compiler/ir/types.ts";
import type { MemoryPlace } from "./deviceMemory.ts";
import type { TensorInfo } from "./tensorInfo.ts";

/** What a binding needs to know of a tensor; `id` names it in messages. */
export interface BoundType {
  readonly id: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Where it lies, if it is to be bound. */
  readonly place?: MemoryPlace;
}

/** The inputs and outputs of a loaded graph. */
export interface GraphBorder {
  readonly name: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Where inputs are read. */
  readonly inputPlaces: ReadonlyMap<string, MemoryPlace>;
  /** Whether its runs may be captured. */
  readonly isCapturable: boolean;
}

/** Throws E_ORT_BINDING with every way in which `inputs` and `outputs` do not fit the graph. */
export function checkBinding(
  graph: GraphBorder,
  inputs: ReadonlyMap<string, BoundType>,
  outputs: ReadonlyMap<string, BoundType>,
): void {
  const symbols = new Map<string, { readonly size: number; readonly name: string }>();
  const messages = [
    ...compareSide("input", graph.inputs, inputs, symbols),
    ...graph.inputs.filter(({ name }) => !inputs.has(name)).map(({ name }) => `input "${name}" is not bound`),
    ...compareSide("output", graph.outputs, outputs, symbols),
    ...sharedTensors(inputs, outputs),
    ...staleInputs(graph, inputs),
  ];
  refuse(graph, messages);
}

function refuse({ name }: GraphBorder, messages: readonly string[]): void {
  if (messages.length === 0) return;
  throw new MttcError(
    messages.map((message): Fault => ({ code: "E_ORT_BINDING", message: `graph "${name}": ${message}` })),
  );
}

/**
 * Throws E_ORT_BINDING where a captured run would not do what a plain one does: a replay goes to the same
 * addresses of the device's memory again, and nothing goes to or from the host's.
 */
export function checkCapture(
  graph: GraphBorder,
  inputs: ReadonlyMap<string, BoundType>,
  outputs: ReadonlyMap<string, BoundType>,
): void {
  const messages = graph.isCapturable ? [] : ["was not opened as capturable"];
  for (const [name, { id, place }] of inputs)
    if (place === "host" || graph.inputPlaces.get(name) !== "device")
      messages.push(`input "${name}" (the tensor "${id}") is not read on the device`);
  for (const [name, { id, place }] of outputs)
    if (place === "host") messages.push(`output "${name}" (the tensor "${id}") is in the host's memory`);
  refuse(graph, messages);
}

function* compareSide(
  side: "input" | "output",
  border: readonly TensorInfo[],
  given: ReadonlyMap<string, BoundType>,
  symbols: Map<string, { readonly size: number; readonly name: string }>,
): Generator<string> {
  for (const [name, tensor] of given) {
    const info = border.find((candidate) => candidate.name === name);
    if (info === undefined) {
      const names = border.map((candidate) => candidate.name);
      yield `there is no ${side} "${name}": ${suggestName(name, names)}`;
      continue;
    }
    if (info.dtype !== tensor.dtype)
      yield `${side} "${name}" is ${info.dtype}, the tensor "${tensor.id}" is ${tensor.dtype}`;
    const fits =
      info.shape.length === tensor.shape.length &&
      info.shape.every((dim, axis) => typeof dim === "string" || dim === tensor.shape[axis]);
    if (!fits)
      yield `${side} "${name}" has shape [${info.shape}], the tensor "${tensor.id}" has [${tensor.shape}]`;
    else yield* compareSymbols(side, info, tensor, symbols);
  }
}

function* compareSymbols(
  side: string,
  info: TensorInfo,
  tensor: BoundType,
  symbols: Map<string, { readonly size: number; readonly name: string }>,
): Generator<string> {
  for (const [axis, dim] of info.shape.entries()) {
    const size = tensor.shape[axis];
    if (typeof dim === "number" || dim === "" || size === undefined) continue;
    const known = symbols.get(dim);
    if (known === undefined) symbols.set(dim, { size, name: info.name });
    else if (known.size !== size)
      yield `${side} "${info.name}" has ${dim} = ${size}, but "${known.name}" has ${dim} = ${known.size}`;
  }
}

/**
 * Host tensors that the device reads. ORT copies such a one when it is bound and never again: a training run
 * would see its first batch for ever.
 */
function* staleInputs(graph: GraphBorder, inputs: ReadonlyMap<string, BoundType>): Generator<string> {
  for (const [name, { id, place }] of inputs)
    if (place === "host" && graph.inputPlaces.get(name) === "device")
      yield `input "${name}" is read on the device, but the tensor "${id}" is in the host's memory`;
}

function* sharedTensors(
  inputs: ReadonlyMap<string, BoundType>,
  outputs: ReadonlyMap<string, BoundType>,
): Generator<string> {
  const readers = new Map([...inputs].map(([name, tensor]) => [tensor.id, name]));
  const writers = new Map<string, string>();
  for (const [name, { id }] of outputs) {
    const reader = readers.get(id);
    if (reader !== undefined)
      yield `the tensor "${id}" is bound to input "${reader}" and to output "${name}"`;
    const writer = writers.get(id);
    if (writer !== undefined) yield `the tensor "${id}" is bound to the outputs "${writer}" and "${name}"`;
    writers.set(id, name);
  }
}
