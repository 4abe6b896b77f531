// Which form a node takes: what a target's table says for its shape, or what was measured for it. A shape key
// names all that the speed of a form depends on, so equal keys share a measurement.
import type { Attrs, Node, TensorData, Value } from "../ir/types.ts";
import { concreteShape, typeText } from "../ir/types.ts";
import type { ChannelBlock } from "../ops/channelBlocks.ts";

/** What a rule may ask besides the node. */
export interface FormSite {
  /** Channels of a block of ONNX Runtime's convolution on the processor that the graph is for, if known. */
  readonly channelBlock?: ChannelBlock | undefined;
}

/** Which named form of an op a node takes; undefined leaves a standard operator as it is. */
export type FormRule = (node: Node, site?: FormSite) => string | undefined;

/** The rules by op name. An operator of ours must get a form. */
export type FormTable = Readonly<Record<string, FormRule>>;

/** Forms that were measured, by shape key; AS_IS leaves a standard operator as it is. */
export type FormChoices = ReadonlyMap<string, string>;

/** The form that is no form: the operator itself. */
export const AS_IS = "asIs";

/** "ConvWeightGrad f32[8,3,32,32] f32[8,16,32,32] {kernel_shape=[3,3],pads=[1,1,1,1]}". */
export function shapeKey(node: Node): string {
  const types = node.inputs.map((input) => (input ? typeText(input.type) : "-"));
  return [node.op.name, ...types, `{${attrsText(node.attrs)}}`].join(" ");
}

function attrsText(attrs: Attrs): string {
  return Object.entries(attrs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${typeof value === "object" ? `[${value}]` : value}`)
    .join(",");
}

/** The form of a node: measured, or of the table; undefined leaves it as it is. */
export function formOf(
  node: Node,
  table: FormTable,
  choices: FormChoices | undefined,
  site: FormSite = {},
): string | undefined {
  const rule = table[node.op.name];
  if (!rule) return undefined;
  const measured = choices?.get(shapeKey(node));
  if (measured === AS_IS) return undefined;
  return measured ?? rule(node, site);
}

/** Whether a standard operator's filters are constants: ONNX Runtime's CPU provider lays those out itself. */
export function hasFixedFilters(node: Node, constants: ReadonlyMap<Value, TensorData>): boolean {
  const [, filters] = node.inputs;
  return node.op.domain === "" && filters !== undefined && constants.has(filters);
}

/** Sizes of a value; E_SHAPE for a symbol. */
export function sizesOfValue(value: Value | undefined): readonly number[] {
  return concreteShape(value?.type.shape ?? []);
}

/** A list attribute of a node, or what it is where it is not given. */
export function listAttr(node: Node, name: string, otherwise: readonly number[]): readonly number[] {
  const value = node.attrs[name];
  return Array.isArray(value) ? value : otherwise;
}

/** The number of groups of a convolution. */
export function groupCount(node: Node): number {
  return typeof node.attrs.group === "number" ? node.attrs.group : 1;
}
