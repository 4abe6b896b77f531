// What autotuning measures: for each distinct shape of an operator that has several forms, a graph of that
// operator alone in every form that is for the shape; of a batch norm both ways together, since they share
// work. From the graphs as they stand before lowering (trace stage "<graph>/2-ready");
// runtime/train/autotune.ts runs them and hands the choices back to the compiler.
import type { Target } from "../bundle/manifest.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import type { Graph, Node, Value } from "../ir/types.ts";
import type { ChannelBlock } from "../ops/channelBlocks.ts";
import type { FormOf } from "../ops/loweredOps.ts";
import { finishGraph } from "./finishGraph.ts";
import { AS_IS, type FormChoices, formOf, hasFixedFilters, measuredOf, shapeKey } from "./forms.ts";
import { TARGET_TRAITS } from "./targets.ts";

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

/** The form of BatchNormTraining with which each of its gradient's shares its passes over x. */
const NORM_OF_GRADIENT: Readonly<Record<FormOf<"BatchNormTrainingGrad">, FormOf<"BatchNormTraining">>> = {
  imageRows: "imageRows",
  imageRowProducts: "imageRows",
  channelAffine: "twoPass",
};

/** The forms of a node that are worth a measurement on `target`; fewer than two are none. */
export function measuredForms(node: Node, target: Target, channelBlock?: ChannelBlock): readonly string[] {
  const { measured, measuredOnBlocks } = TARGET_TRAITS[target];
  const onBlocks = channelBlock === undefined ? undefined : measuredOnBlocks?.(channelBlock);
  const applies = Object.entries({ ...measuredOf(measured, node.op), ...measuredOf(onBlocks, node.op) });
  const isKnown = node.inputs.every(
    (input) => input?.type.shape.every((dim) => typeof dim === "number") ?? true,
  );
  const forms = isKnown ? applies.filter(([, isFor]) => isFor(node)).map(([form]) => form) : [];
  return forms.length > 1 ? forms : [];
}

/**
 * The candidates of all nodes of `graphs`, each shape once, in order of appearance. `graphs` are those that
 * finishGraph shows as ready.
 */
export function formCandidates(
  graphs: Iterable<Graph>,
  target: Target,
  ops: OpTable,
  channelBlock?: ChannelBlock,
): FormCandidates[] {
  const found = new Map<string, FormCandidates>();
  const { forms: table, laysOutFilters } = TARGET_TRAITS[target];
  for (const graph of graphs)
    for (const node of graph.nodes) {
      const key = shapeKey(node);
      const isFixed = laysOutFilters && hasFixedFilters(node, graph.constants);
      const forms = found.has(key) || isFixed ? [] : measuredForms(node, target, channelBlock);
      if (forms.length === 0) continue;
      const isNorm = node.op.name === "BatchNormTrainingGrad";
      const { alone, choicesOf } = isNorm ? normBothWays(node, ops) : nodeAlone(node, ops);
      const spelled = (form: string) => finishGraph(alone, { target, channelBlock, forms: choicesOf(form) });
      found.set(key, {
        key,
        origin: node.outputs[0]?.origin ?? graph.name,
        usual: formOf(node, table, undefined, { channelBlock }) ?? AS_IS,
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
 * and, of its type, bias. What several processes exchange is left out: nobody answers in a measurement.
 */
function normBothWays(gradient: Node, ops: OpTable): Measured {
  const b = new GraphBuilder("candidate", ops);
  const [x, dy, scale, bias] = [0, 1, 2, 2].map((index, i) => {
    const { dtype, shape } = gradient.inputs[index]!.type;
    return b.input(`input${i}`, dtype, shape);
  }) as [Value, Value, Value, Value];
  const { ranks: _, ...attrs } = gradient.attrs;
  const [y, mean, variance] = b.emitAll("BatchNormTraining", [x, scale, bias], attrs, 3);
  const [dx] = b.emitAll(gradient.op.name, [x, dy, scale, mean, variance], attrs, 3);
  b.output("y", b.add(y!, dx!));
  const alone = b.build();
  const [norm, ownGradient] = alone.nodes as [Node, Node];
  const ranked = { ...norm, attrs: gradient.attrs };
  const keys = (nodes: readonly Node[]) => [...new Set(nodes.map(shapeKey))];
  return {
    alone,
    choicesOf: (form) =>
      new Map([
        ...keys([gradient, ownGradient]).map((key) => [key, form] as const),
        ...keys([norm, ranked]).flatMap((key) => normChoice(key, form)),
      ]),
  };
}

function normChoice(norm: string, form: string): readonly (readonly [string, string])[] {
  const shared = (NORM_OF_GRADIENT as Readonly<Record<string, string | undefined>>)[form];
  return shared === undefined ? [] : [[norm, shared]];
}
