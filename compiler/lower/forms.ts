// Which form a node takes: what a target's table says for its shape, or what was measured for it. A shape key
// names all that the speed of a form depends on, so equal keys share a measurement.
import type { Attrs, Node, Value } from "../ir/types.ts";
import { concreteShape, typeText } from "../ir/types.ts";

/**
 * Which named form of an op a node takes, by op name; undefined leaves a standard operator as it is. An
 * operator of ours must get a form.
 */
export type FormTable = Readonly<Record<string, (node: Node) => string | undefined>>;

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
export function formOf(node: Node, table: FormTable, choices: FormChoices | undefined): string | undefined {
  const rule = table[node.op.name];
  if (!rule) return undefined;
  const measured = choices?.get(shapeKey(node));
  if (measured === AS_IS) return undefined;
  return measured ?? rule(node);
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
