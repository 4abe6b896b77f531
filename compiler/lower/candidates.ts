// What autotuning measures: for each distinct shape of an operator that has several forms, a graph of that
// operator alone in every form that is for the shape; of a batch norm both ways together, since they share
// work. From the graphs as they stand before lowering (trace stage "<graph>/2-ready");
// runtime/train/autotune.ts runs them and hands the choices back to the compiler.
import type { Target } from "../bundle/manifest.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import type { Graph, Node, Value } from "../ir/types.ts";
import { blockedForm } from "../ops/blockedForms.ts";
import type { ChannelBlock } from "../ops/channelBlocks.ts";
import { hasBlockedChannels, hasBlockedPlanes, isBlockedDepthwise } from "./cpu.ts";
import { hasLongRows, isPointwise, MOST_COLUMNS } from "./cuda.ts";
import { finishGraph } from "./finishGraph.ts";
import {
  AS_IS,
  type FormChoices,
  formOf,
  groupCount,
  hasFixedFilters,
  listAttr,
  shapeKey,
  sizesOfValue,
} from "./forms.ts";
import { TARGET_FORMS } from "./lower.ts";

/** One shape of one operator. */
export interface FormCandidates {
  /** As shapeKey gives it: what a choice is known by. */
  readonly key: string;
  /** Where a node of that shape comes from, for messages. */
  readonly origin: string;
  /** The form that the target's table chooses. */
  readonly usual: string;
  /** A graph for each form: inputs "input0", "input1", ... of the node's types, output "y". */
  readonly forms: ReadonlyMap<string, Graph>;
  /** What choosing a form decides, by shape key. */
  readonly choicesOf: (form: string) => FormChoices;
}

/** Forms that are worth a measurement, and whether they are for a node's shape, by operator. */
type Applies = Readonly<Record<string, (node: Node) => boolean>>;

const always = (): boolean => true;

/** ConvWeightGrad with one input and one output channel a group. */
function isDepthwise(node: Node): boolean {
  const [, c] = sizesOfValue(node.inputs[0]);
  const [, k] = sizesOfValue(node.inputs[1]);
  return groupCount(node) > 1 && groupCount(node) === c && c === k;
}

/** Whether a product for each image, and their sum, is anything but one product. */
function hasImagesToSplit(node: Node): boolean {
  return sizesOfValue(node.inputs[0])[0] !== 1;
}

function tapCount(node: Node): number {
  return listAttr(node, "kernel_shape", [1, 1]).reduce((product, size) => product * size, 1);
}

/** Whether all taps' pixels side by side are more than one tap's, and fit. */
function hasColumns(node: Node): boolean {
  const [, c = 1] = sizesOfValue(node.inputs[0]);
  const [n = 1, , p = 1, q = 1] = sizesOfValue(node.inputs[1]);
  const taps = tapCount(node);
  return taps > 1 && n * c * p * q * taps <= MOST_COLUMNS && !isDepthwise(node);
}

function hasStrides(node: Node): boolean {
  return listAttr(node, "strides", [1, 1]).some((stride) => stride > 1);
}

/** Whether a flipped filter does the same: stride 1, and pads within the window's reach. */
function isFlippable(node: Node): boolean {
  const [, , r = 1, s = 1] = sizesOfValue(node.inputs[1]);
  const [down = 1, right = 1] = listAttr(node, "dilations", [1, 1]);
  const reach = [(r - 1) * down, (s - 1) * right];
  return !hasStrides(node) && listAttr(node, "pads", [0, 0, 0, 0]).every((pad, i) => pad <= reach[i % 2]!);
}

/** Products of matrices in one call: what a device's grid takes in the dimension that counts them. */
const MOST_PRODUCTS = 65_535;

/** Whether a batch norm goes by rows of pixels, few enough for a product of matrices each. */
function hasFewLongRows(node: Node): boolean {
  const [n = 1, c = 1] = sizesOfValue(node.inputs[0]);
  return hasLongRows(node) && n * c <= MOST_PRODUCTS;
}

const isPlain = (node: Node): boolean => groupCount(node) === 1;
const hasPointFilters = (node: Node): boolean => isPointwise(node, sizesOfValue(node.inputs[1]).slice(2));

const MEASURED: Readonly<Record<Target, Readonly<Record<string, Applies>>>> = {
  cuda: {
    Conv: { [AS_IS]: hasPointFilters, product: hasPointFilters },
    ConvInputGrad: {
      symmetricTranspose: always,
      slicedTranspose: hasStrides,
      flippedConv: isFlippable,
      pointwiseProduct: hasPointFilters,
    },
    ConvWeightGrad: {
      tapProducts: (node) => !isDepthwise(node),
      splitTapProducts: (node) => !isDepthwise(node) && hasImagesToSplit(node),
      columnProduct: hasColumns,
      splitColumnProduct: (node) => hasColumns(node) && hasImagesToSplit(node),
      swappedConv: always,
      splitSwappedConv: (node) => !isDepthwise(node) && hasImagesToSplit(node),
      depthwise: isDepthwise,
    },
    // imageRows moves 8 bytes of float16 a pixel for its sums of products, imageRowProducts 4; how a library
    // does so many products of a row and a column is another matter.
    BatchNormTrainingGrad: {
      imageRows: hasLongRows,
      imageRowProducts: hasFewLongRows,
      channelAffine: hasLongRows,
    },
  },
  cpu: {
    ConvInputGrad: {
      convTranspose: always,
      flippedConv: isFlippable,
      pointwiseStack: (node) => hasPointFilters(node) && !hasStrides(node),
    },
    ConvWeightGrad: {
      perTap: (node) => !isDepthwise(node),
      perTapBatched: isPlain,
      im2col: (node) => isPlain(node) && hasColumns(node),
      im2colChannelMajor: (node) => isPlain(node) && hasColumns(node),
      depthwise: isDepthwise,
      rowProducts: isDepthwise,
    },
  },
};

/** Forms on blocks of channels that are worth a measurement beside the CPU's others. */
function blockedCandidates(block: ChannelBlock): Readonly<Record<string, Applies>> {
  const site = { channelBlock: block };
  return {
    Conv: {
      [AS_IS]: (node) => hasBlockedChannels(node, site),
      [blockedForm("blockedChannels", block)]: (node) => hasBlockedChannels(node, site),
    },
    ConvInputGrad: {
      [blockedForm("blockedChannels", block)]: (node) => {
        const [, c = 1] = sizesOfValue(node.inputs[1]);
        return isFlippable(node) && c % block === 0 && hasBlockedChannels(node, site);
      },
      [blockedForm("blockedDepthwise", block)]: (node) => {
        const [k = 1] = sizesOfValue(node.inputs[1]);
        return isFlippable(node) && groupCount(node) === k && isBlockedDepthwise(node, k, k, site);
      },
    },
    ConvWeightGrad: {
      [blockedForm("blockedDepthwise", block)]: (node) => {
        const [n = 1, c = 1] = sizesOfValue(node.inputs[0]);
        return isDepthwise(node) && isBlockedDepthwise(node, c, n * c, site);
      },
      [blockedForm("blockedPlanes", block)]: (node) => {
        const [[n = 1], [, k = 1]] = [sizesOfValue(node.inputs[0]), sizesOfValue(node.inputs[1])];
        return isPlain(node) && hasBlockedPlanes(n, k, site);
      },
    },
  };
}

/** The form of BatchNormTraining with which each of its gradient's shares its passes over x. */
const NORM_OF_GRADIENT: Readonly<Record<string, string>> = {
  imageRows: "imageRows",
  imageRowProducts: "imageRows",
  channelAffine: "twoPass",
};

/** The forms of a node that are worth a measurement on `target`; fewer than two are none. */
export function measuredForms(node: Node, target: Target, channelBlock?: ChannelBlock): readonly string[] {
  const onBlocks = target === "cpu" && channelBlock ? blockedCandidates(channelBlock)[node.op.name] : {};
  const applies = Object.entries({ ...MEASURED[target][node.op.name], ...onBlocks });
  const isKnown = node.inputs.every(
    (input) => input?.type.shape.every((dim) => typeof dim === "number") ?? true,
  );
  const forms = isKnown ? applies.filter(([, isFor]) => isFor(node)).map(([form]) => form) : [];
  return forms.length > 1 ? forms : [];
}

/**
 * The candidates of all nodes of `graphs`, each shape once, in order of appearance. `graphs` are those of
 * READY_STAGE.
 */
export function formCandidates(
  graphs: Iterable<Graph>,
  target: Target,
  ops: OpTable,
  channelBlock?: ChannelBlock,
): FormCandidates[] {
  const found = new Map<string, FormCandidates>();
  for (const graph of graphs)
    for (const node of graph.nodes) {
      const key = shapeKey(node);
      const isFixed = target === "cpu" && hasFixedFilters(node, graph.constants);
      const forms = found.has(key) || isFixed ? [] : measuredForms(node, target, channelBlock);
      if (forms.length === 0) continue;
      const isNorm = node.op.name === "BatchNormTrainingGrad";
      const { alone, choicesOf } = isNorm ? normBothWays(node, ops) : nodeAlone(node, ops);
      const spelled = (form: string) => finishGraph(alone, { target, channelBlock, forms: choicesOf(form) });
      found.set(key, {
        key,
        origin: node.outputs[0]?.origin ?? graph.name,
        usual: formOf(node, TARGET_FORMS[target], undefined, { channelBlock }) ?? AS_IS,
        forms: new Map(forms.map((form) => [form, spelled(form)])),
        choicesOf,
      });
    }
  return [...found.values()];
}

interface Measured {
  readonly alone: Graph;
  readonly choicesOf: (form: string) => FormChoices;
}

/** A graph of one node; all its inputs become inputs. */
function nodeAlone(node: Node, ops: OpTable): Measured {
  const b = new GraphBuilder("candidate", ops);
  const inputs = node.inputs.map(
    (input, i) => input && b.input(`input${i}`, input.type.dtype, input.type.shape),
  );
  b.output("y", b.emit(node.op.name, inputs, node.attrs));
  return { alone: b.build(), choicesOf: (form) => new Map([[shapeKey(node), form]]) };
}

/**
 * The batch norm of a gradient node and that gradient; y is the sum of both results. Inputs: x, dy, scale
 * and, of its type, bias.
 */
function normBothWays(gradient: Node, ops: OpTable): Measured {
  const b = new GraphBuilder("candidate", ops);
  const [x, dy, scale, bias] = [0, 1, 2, 2].map((index, i) => {
    const { dtype, shape } = gradient.inputs[index]!.type;
    return b.input(`input${i}`, dtype, shape);
  }) as [Value, Value, Value, Value];
  const { epsilon } = gradient.attrs;
  const attrs = epsilon === undefined ? {} : { epsilon };
  const [y, mean, variance] = b.emitAll("BatchNormTraining", [x, scale, bias], attrs, 3);
  const [dx] = b.emitAll(gradient.op.name, [x, dy, scale, mean, variance], gradient.attrs, 3);
  b.output("y", b.add(y!, dx!));
  const alone = b.build();
  const norm = shapeKey(alone.nodes.find(({ op }) => op.name === "BatchNormTraining")!);
  return {
    alone,
    choicesOf: (form) => new Map([[shapeKey(gradient), form], ...normChoice(norm, form)]),
  };
}

function normChoice(norm: string, form: string): readonly (readonly [string, string])[] {
  const shared = NORM_OF_GRADIENT[form];
  return shared === undefined ? [] : [[norm, shared]];
}
