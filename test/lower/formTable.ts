// What each form of an operator is for, and a graph with one operator in a named form: for the tests that
// hold forms against references.
import { type Op, readAttrs } from "../../compiler/ir/op.ts";
import { rewriteGraph } from "../../compiler/ir/rewrite.ts";
import type { Graph, Node } from "../../compiler/ir/types.ts";
import { verifyGraph } from "../../compiler/ir/verify.ts";
import { type BlockedForm, blockedForm } from "../../compiler/ops/blockedForms.ts";
import { CHANNEL_BLOCKS } from "../../compiler/ops/channelBlocks.ts";
import type { FormOf, LoweredOpName } from "../../compiler/ops/loweredOps.ts";
import { OPS } from "../../compiler/ops/table.ts";

type Applies = (node: Node) => boolean;
const always: Applies = () => true;

function ints(node: Node, name: string, otherwise: readonly number[]): readonly number[] {
  return (node.attrs[name] ?? otherwise) as readonly number[];
}
const groups = (node: Node): number => Number(node.attrs.group ?? 1);
const withoutGroups: Applies = (node) => groups(node) === 1;
const shape = (node: Node, input: number): readonly number[] =>
  (node.inputs[input]?.type.shape ?? []) as readonly number[];

const isPointwise = (node: Node, kernel: readonly number[]): boolean =>
  groups(node) === 1 &&
  kernel.every((size) => size === 1) &&
  ints(node, "pads", []).every((pad) => pad === 0);

const oneFilterAChannel: Applies = (node) =>
  groups(node) === shape(node, 0)[1] && groups(node) === shape(node, 1)[1];

const isFlippable: Applies = (node) => {
  const [, , r = 1, s = 1] = shape(node, 1);
  const [high = 1, wide = 1] = ints(node, "dilations", [1, 1]);
  const reach = [(r - 1) * high, (s - 1) * wide];
  const pads = ints(node, "pads", [0, 0, 0, 0]);
  return String(ints(node, "strides", [1, 1])) === "1,1" && pads.every((pad, i) => pad <= reach[i % 2]!);
};

/** One filter for each of the channels, in whole blocks. */
const inBlockedChannels = (node: Node, block: number): boolean =>
  groups(node) > 1 &&
  shape(node, 1)[0] === groups(node) &&
  shape(node, 1)[1] === 1 &&
  groups(node) % block === 0;

/** No groups, whole blocks of filters, and of input channels or fewer of them than a block. */
const isDenseInBlocks = (node: Node, block: number): boolean => {
  const [k = 1, c = 1] = shape(node, 1);
  return withoutGroups(node) && k % block === 0 && (c < block || c % block === 0);
};

function forBlocks<Name extends string>(
  name: Name,
  applies: (node: Node, block: number) => boolean,
): Record<BlockedForm<Name>, Applies> {
  const forms = CHANNEL_BLOCKS.map((block) => [
    blockedForm(name, block),
    (node: Node) => applies(node, block),
  ]);
  return Object.fromEntries(forms) as Record<BlockedForm<Name>, Applies>;
}

/** What each form is for: the conditions that its comment states. The type asks for every form. */
export const FORMS: {
  readonly [Name in LoweredOpName]: { readonly [Form in FormOf<Name>]: Applies };
} = {
  Conv: {
    ...forBlocks("blockedDepthwise", inBlockedChannels),
    ...forBlocks("blockedChannels", isDenseInBlocks),
    product: (node) => isPointwise(node, shape(node, 1).slice(2)),
  },
  AveragePool: { paddedMean: always },
  Concat: { inGroups: ({ inputs }) => new Set(inputs.map((input) => String(input?.type.shape))).size === 1 },
  MatMul: { wholeStacks: (node) => [0, 1].every((i) => shape(node, i).length >= 2) },
  ConvTranspose: { symmetricPads: always },
  ConvInputGrad: {
    ...forBlocks("blockedDepthwise", (node, block) => isFlippable(node) && inBlockedChannels(node, block)),
    ...forBlocks("blockedChannels", (node, block) => {
      const isWhole = shape(node, 1)[1]! % block === 0;
      return isFlippable(node) && isWhole && isDenseInBlocks(node, block);
    }),
    pointwiseStack: (node) => isPointwise(node, shape(node, 1).slice(2)) && isFlippable(node),
    convTranspose: always,
    symmetricTranspose: always,
    slicedTranspose: always,
    pointwiseProduct: (node) => isPointwise(node, shape(node, 1).slice(2)),
    flippedConv: isFlippable,
  },
  ConvWeightGrad: {
    ...forBlocks("blockedDepthwise", (node, block) => {
      const [n = 1, c = 1] = shape(node, 0);
      return oneFilterAChannel(node) && groups(node) > 1 && (n * c) % block === 0;
    }),
    ...forBlocks("blockedPlanes", (node, block) => {
      const [[n = 1], [, k = 1]] = [shape(node, 0), shape(node, 1)];
      return withoutGroups(node) && k % block === 0 && (n < block || n % block === 0);
    }),
    perTap: always,
    perTapBatched: withoutGroups,
    im2col: withoutGroups,
    im2colChannelMajor: withoutGroups,
    depthwise: oneFilterAChannel,
    rowProducts: oneFilterAChannel,
    tapProducts: always,
    columnProduct: always,
    splitTapProducts: always,
    splitColumnProduct: always,
    swappedConv: always,
    splitSwappedConv: always,
  },
  MaxPoolGrad: {
    scatterAdd: always,
    unpool: (node) => {
      const strides = ints(node, "strides", [1, 1]);
      const dilations = ints(node, "dilations", [1, 1]);
      const apart = (k: number, i: number): boolean => (k - 1) * dilations[i]! + 1 <= strides[i]!;
      return node.attrs.ceil_mode !== 1 && ints(node, "kernel_shape", []).every(apart);
    },
  },
  BatchNormTraining: { trainingMode: always, twoPass: always, imageRows: always },
  BatchNormTrainingGrad: { channelAffine: always, imageRows: always, imageRowProducts: always },
  ReluGrad: { select: always, product: always, steepProduct: always },
  MaskGrad: { select: always, product: always },
  PieceGrad: { select: always, blend: always },
  MaskedCrossEntropy: { logSoftmax: always },
  MaskedCrossEntropyGrad: { softmax: always },
  AdamUpdate: { elementwise: always },
  MomentumUpdate: { elementwise: always },
};

/** What is stated of the forms of an operator; none of one that is not there. */
export function statedForms({ name }: Op): Readonly<Record<string, Applies>> {
  return (FORMS as Readonly<Record<string, Readonly<Record<string, Applies>>>>)[name] ?? {};
}

/** `graph`, which holds one own operator, with that operator in the named form. */
export function lowerTo(graph: Graph, op: Op, form: string): Graph {
  const lowered = rewriteGraph(graph, OPS, (node, b) =>
    node.op === op
      ? op.lower[form]!({
          b,
          inputs: node.inputs,
          outputs: node.outputs,
          attrs: readAttrs(op, node.attrs),
          input: (index) => node.inputs[index]!,
        })
      : undefined,
  ).graph;
  verifyGraph(lowered, { allowOwnOps: false, after: `lowering ${op.name} to ${form}` });
  return lowered;
}

/** The node of `op`. */
export function nodeOf(graph: Graph, op: Op): Node {
  return graph.nodes.find((node) => node.op === op)!;
}
