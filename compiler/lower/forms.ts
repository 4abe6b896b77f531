// Which form a node takes: what a target's table says for its shape, or what was measured for it. A shape key
// names all that the speed of a form depends on, so equal keys share a measurement.
import type { Op } from "../ir/op.ts";
import type { Attrs, Node, TensorData, Value } from "../ir/types.ts";
import { typeText } from "../ir/types.ts";
import type { ChannelBlock } from "../ops/channelBlocks.ts";
import type { FormOf, LoweredOpName, OwnOpName, RespelledOpName } from "../ops/loweredOps.ts";

/** What a rule may ask besides the node. */
export interface FormSite {
  /** Channels of a block of ONNX Runtime's convolution on the processor that the graph is for, if known. */
  readonly channelBlock?: ChannelBlock | undefined;
}

/** Which named form of an op a node takes; undefined leaves a standard operator as it is. */
export type FormRule<Form extends string = string> = (node: Node, site?: FormSite) => Form | undefined;

/** The rules by op name. An operator of ours gets a form, whatever its shape. */
export type FormTable = {
  readonly [Name in OwnOpName]: (node: Node, site?: FormSite) => FormOf<Name>;
} & { readonly [Name in RespelledOpName]?: FormRule<FormOf<Name>> };

/** Forms that are worth a measurement, and whether they are for a node's shape, by op name. */
export type MeasuredForms = {
  readonly [Name in LoweredOpName]?: {
    readonly [Form in FormOf<Name> | typeof AS_IS]?: (node: Node) => boolean;
  };
};

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

/** The rule of an operator, if the table has one. */
export function ruleOf(table: FormTable, op: Op): FormRule | undefined {
  return (table as Readonly<Record<string, FormRule | undefined>>)[op.name];
}

/** The forms of an operator that are worth a measurement, and what they are for. */
export function measuredOf(
  table: MeasuredForms | undefined,
  op: Op,
): Readonly<Record<string, (node: Node) => boolean>> {
  return (table as Readonly<Record<string, ReturnType<typeof measuredOf>>> | undefined)?.[op.name] ?? {};
}

/** The form of a node: measured, or of the table; undefined leaves it as it is. */
export function formOf(
  node: Node,
  table: FormTable,
  choices: FormChoices | undefined,
  site: FormSite = {},
): string | undefined {
  const rule = ruleOf(table, node.op);
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
