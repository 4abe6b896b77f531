// How Keras writes the calls of layers: "inbound_nodes". Keras 2 has lists of [layer, node, tensor,
// keywords], Keras 3 objects with args and kwargs in which tensors are marked. Both become operands in
// order, and the other keywords.
import { isObject, type JsonObject, type KerasPlace, refuse } from "./layerConfig.ts";

/** Result number `tensor` of call number `node` of a layer. */
export interface TensorReference {
  readonly layer: string;
  readonly node: number;
  readonly tensor: number;
}

/** What a layer is called with: a tensor, or a number (`x * 0.5`). */
export type Operand = TensorReference | number;

/** One application of a layer: what it is called with, and the keyword arguments that are not tensors. */
export interface KerasLayerCall {
  readonly operands: readonly Operand[];
  readonly options: JsonObject;
  /** Whether it is written as Keras 3 does. */
  readonly isMarked: boolean;
  /** Zeros to put around the image first: a padding layer that was taken out (paddingFold.ts). */
  readonly border?: readonly [top: number, left: number, bottom: number, right: number];
}

/** The `inbound_nodes` of a layer; none for input layers. E_MODEL_PARSE. */
export function readCalls(nodes: unknown, place: KerasPlace): KerasLayerCall[] {
  if (nodes === undefined || nodes === null) return [];
  if (!Array.isArray(nodes)) return malformed(place);
  return nodes.map((node: unknown) => (isObject(node) ? readMarked(node, place) : readListed(node, place)));
}

/** `input_layers` or `output_layers`: one reference, or a list of them. E_MODEL_PARSE. */
export function readReferences(value: unknown, place: KerasPlace): TensorReference[] {
  if (isReference(value)) return [toReference(value)];
  // Dictionaries of outputs keep their order.
  const list = isObject(value) ? Object.values(value) : value;
  if (!Array.isArray(list)) return malformed(place);
  return list.map((entry: unknown) => (isReference(entry) ? toReference(entry) : malformed(place)));
}

type ListedReference = readonly [string, number, number, ...unknown[]];

function isReference(value: unknown): value is ListedReference {
  return (
    Array.isArray(value) &&
    typeof value[0] === "string" &&
    Number.isSafeInteger(value[1]) &&
    Number.isSafeInteger(value[2])
  );
}

function toReference([layer, node, tensor]: ListedReference): TensorReference {
  return { layer, node, tensor };
}

/**
 * Keras 2: [[layer, node, tensor, {...}], ...], or one such entry where an operator of TensorFlow is the
 * layer.
 */
function readListed(node: unknown, place: KerasPlace): KerasLayerCall {
  const entries = isListedEntry(node) ? [node] : node;
  if (!Array.isArray(entries)) return malformed(place);
  const operands: Operand[] = [];
  const options = Object.create(null) as Record<string, unknown>;
  for (const entry of entries as unknown[]) {
    if (!isListedEntry(entry)) return malformed(place);
    const [layer, , constant, keywords] = entry;
    if (layer !== "_CONSTANT_VALUE")
      operands.push(isReference(entry) ? toReference(entry) : malformed(place));
    else operands.push(typeof constant === "number" ? constant : malformed(place));
    for (const [key, value] of Object.entries(isObject(keywords) ? keywords : {})) {
      // Operators of TensorFlow name their second operand: x * y.
      if (key === "y" && typeof value === "number") operands.push(value);
      else if (key === "y" && isReference(value)) operands.push(toReference(value));
      else options[key] = value;
    }
  }
  return { operands, options, isMarked: false };
}

function isListedEntry(value: unknown): value is readonly [string, unknown, unknown, unknown] {
  return Array.isArray(value) && typeof value[0] === "string";
}

/** Keras 3: {args, kwargs}; a tensor is {class_name: "__keras_tensor__", config: {keras_history: [...]}}. */
function readMarked({ args, kwargs }: JsonObject, place: KerasPlace): KerasLayerCall {
  if (!Array.isArray(args) || !isObject(kwargs)) return malformed(place);
  const given = args.flat() as unknown[];
  const operands = given.filter((arg) => arg !== null).map((arg) => readMarkedOperand(arg, place));
  const options = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of Object.entries(kwargs)) {
    const list: unknown[] = Array.isArray(value) ? value.flat() : [value];
    if (list.some((entry) => isObject(entry) && entry.class_name === "__keras_tensor__"))
      for (const entry of list) operands.push(readMarkedOperand(entry, place));
    else options[key] = value;
  }
  return { operands, options, isMarked: true };
}

function readMarkedOperand(arg: unknown, place: KerasPlace): Operand {
  if (typeof arg === "number") return arg;
  const history = isObject(arg) && isObject(arg.config) ? arg.config.keras_history : undefined;
  if (isReference(history)) return toReference(history);
  const shown = (JSON.stringify(arg) ?? "").slice(0, 80);
  return refuse(
    "E_MODEL_OP",
    place,
    `it is called with something that is neither tensor nor number: ${shown}`,
  );
}

function malformed(place: KerasPlace): never {
  return refuse("E_MODEL_PARSE", place, "what it is connected with is not written as Keras does");
}
