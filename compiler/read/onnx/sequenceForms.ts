// Sequences whose tensors are known one by one, as PyTorch's exporter writes a split that it does not
// optimize: they are followed to the tensors, and no sequence is left.
import type { Value } from "../../ir/types.ts";
import type { ImportRule } from "./importRule.ts";
import { isSequence, isValue, type NodeCall, type Results } from "./nodeCall.ts";
import { standardNode } from "./standardNode.ts";

/** The tensors of a compulsory input that is a sequence. */
function itemsOf(node: NodeCall): readonly Value[] {
  const input = node.inputs[0];
  return input && isSequence(input) ? input.items : node.fail("E_MODEL_PARSE", "input 0 is no sequence");
}

/** SplitToSequence-11: parts of the given sizes, of one size, or of size 1 (whose axis goes, if asked). */
function splitToSequence(node: NodeCall): Results {
  const x = node.value(0);
  const rank = x.type.shape.length;
  const axis = node.int("axis", 0) < 0 ? node.int("axis", 0) + rank : node.int("axis", 0);
  const whole = x.type.shape[axis];
  if (typeof whole !== "number")
    return node.fail("E_MODEL_SHAPE", `the axis ${axis} of [${x.type.shape}] cannot be split`);
  const sizes = partSizes(node, whole);
  const outputs = sizes.map((_, i) => `${node.outputs[0]}.${i}`);
  const inputs = [x, node.b.ints(sizes)];
  const attrs = { axis, keepdims: undefined };
  const parts = standardNode(node.with({ operator: "Split", inputs, outputs, attrs })).filter(isTensor);
  const isSingle = !node.inputs[1] && node.int("keepdims", 1) === 0;
  const items = isSingle ? parts.map((part) => node.b.emit("Squeeze", [part, node.b.ints([axis])])) : parts;
  return [{ items }];
}

function partSizes(node: NodeCall, whole: number): number[] {
  const given = node.inputs[1] ? node.constant(1) : undefined;
  if (node.inputs[1] && !given) node.numbers(1);
  if (given && given.shape.length > 0) return Array.from(given.data);
  const size = given?.data[0] ?? 1;
  if (!(size >= 1)) node.fail("E_MODEL_SHAPE", `parts of size ${size}`);
  const count = Math.ceil(whole / size);
  return Array.from({ length: count }, (_, i) => Math.min(size, whole - i * size));
}

/** SequenceAt-11: negative positions count from the end. */
function sequenceAt(node: NodeCall): Results {
  const items = itemsOf(node);
  const [position = 0] = node.numbers(1);
  const item = items.at(position);
  return [item ?? node.fail("E_MODEL_SHAPE", `there is no item ${position} of ${items.length}`)];
}

function sequenceConstruct(node: NodeCall): Results {
  return [{ items: node.inputs.map((_, i) => node.value(i)) }];
}

function sequenceLength(node: NodeCall): Results {
  const data = Float64Array.of(itemsOf(node).length);
  return [node.b.constant({ dtype: "int64", shape: [], data }, node.outputs[0])];
}

/** ConcatFromSequence-11: along an axis of the tensors, or (new_axis) along one that is put in. */
function concatFromSequence(node: NodeCall): Results {
  const items = itemsOf(node);
  const isNew = node.int("new_axis", 0) === 1;
  const axes = node.b.ints([node.int("axis")]);
  const inputs = isNew ? items.map((item) => node.b.emit("Unsqueeze", [item, axes])) : items;
  return standardNode(node.with({ operator: "Concat", inputs, attrs: { new_axis: undefined } }));
}

function isTensor(result: Results[number]): result is Value {
  return result !== undefined && isValue(result);
}

function row(operator: string, reason: string, convert: (node: NodeCall) => Results): ImportRule {
  return { operator, sinceOpset: 11, treatment: "folded", reason, convert };
}

const REASON = "sequences are followed to their tensors";

/** Sequences that import can follow. */
export const SEQUENCE_FORMS: readonly ImportRule[] = [
  row("SplitToSequence", "becomes a Split of known sizes", splitToSequence),
  row("SequenceAt", REASON, sequenceAt),
  row("SequenceConstruct", REASON, sequenceConstruct),
  row("SequenceLength", REASON, sequenceLength),
  row("ConcatFromSequence", REASON, concatFromSequence),
];
