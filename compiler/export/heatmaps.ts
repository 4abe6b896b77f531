// Heat maps in exported graphs: where in the image a task's answer comes from (Grad-CAM, Selvaraju et al.
// 2017, arXiv 1610.02391), made by the compiler's own backward. Two steps, since norms are folded and the
// graph is simplified in between: what a map is made from is marked by outputs, then maps take their place.
import { appendCotangents } from "../autodiff/reverse.ts";
import { MttcError, need, suggestName } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import type { Graph, Output, Value } from "../ir/types.ts";
import type { ImportedTrunk } from "../model/importedTrunk.ts";
import { partOfTask } from "../model/parameters.ts";
import type { Task } from "../tasks/task.ts";
import type { Heatmap } from "./modelMetadata.ts";
import { namedLayer } from "./namedLayer.ts";

/** What heat maps are asked for. */
export interface HeatmapWish {
  /** A layer of the spec (`shared_layers[0]`), or a node of an imported fcn; default: the features. */
  readonly layer?: string | undefined;
  /** By task, which of its numbers is explained in place of the largest. */
  readonly classes?: ReadonlyMap<string, string> | undefined;
}

/** What withHeatmaps makes a map from: names of outputs of the marked graph. */
export interface HeatmapMark {
  readonly task: Task;
  readonly heatmap: Heatmap;
  readonly features: string;
  readonly head: string;
}

/** Marks in the graph of `b` what the maps of `heads` are made from. E_USAGE for a layer that is none. */
export function markHeatmaps(
  b: GraphBuilder,
  wish: HeatmapWish,
  {
    features,
    heads,
    trunk,
    outputOf,
  }: {
    readonly features: Value;
    readonly heads: ReadonlyMap<Task, Value>;
    readonly trunk: ImportedTrunk | undefined;
    readonly outputOf: (task: Task) => string;
  },
): HeatmapMark[] {
  return [...heads].map(([task, y], i) => {
    const layer = wish.layer === undefined ? features : namedLayer(b, wish.layer, task, trunk);
    const [height, width] = planeOf(layer, wish.layer);
    const named = wish.classes?.get(task.name);
    if (named !== undefined) refuseUnknown(task, named);
    const mark = { features: `heatmap features ${i}`, head: `heatmap head ${i}` };
    b.output(mark.features, layer);
    b.output(mark.head, y);
    const place = wish.layer ?? layer.origin;
    const heatmap = { output: outputOf(task), layer: place, height, width };
    return { task, heatmap: named === undefined ? heatmap : { ...heatmap, class: named }, ...mark };
  });
}

/**
 * The graph with maps in place of the marks. E_NOT_DIFFERENTIABLE where an operator between the layer and a
 * head has no derivative, or none for a batch of any size; E_USAGE where a head does not depend on the
 * layer.
 */
export function withHeatmaps(graph: Graph, marks: readonly HeatmapMark[], ops: OpTable): Graph {
  const marked = new Map(graph.outputs.map((output) => [output.name, output.value]));
  const isMark = new Set(marks.flatMap(({ features, head }) => [features, head]));
  const kept = { ...graph, outputs: graph.outputs.filter(({ name }: Output) => !isMark.has(name)) };
  const b = GraphBuilder.extend(kept, ops);
  for (const { task, heatmap, features, head } of marks) {
    const [layer, y] = [need(marked.get(features), features), need(marked.get(head), head)];
    const map = b.within(`heatmap(${partOfTask(task.name)})`, () => gradCam(b, task, heatmap, layer, y));
    b.output(heatmap.output, map);
  }
  return b.build();
}

/** A largest weight below this is none: the map is 0 then. */
const LEAST_WEIGHT = 1e-30;

/**
 * relu(sum over c of w[c] A[c]) by its largest, with w[c] the mean over the pixels of d(answer) / d(A[c]); A
 * the layer's map [N,C,H,W]. Images do not meet between the layer and the answers, so that the gradient of
 * the answers' sum over N is that of each image.
 */
function gradCam(b: GraphBuilder, task: Task, heatmap: Heatmap, layer: Value, y: Value): Value {
  const seed = explained(b, task, heatmap.class, y);
  const gradient = cotangentOf(b, { value: y, seed, layer, heatmap, task });
  const weights = b.reduceMean(gradient, [2, 3], 1);
  const map = b.emit("Relu", [b.reduceSum(b.mul(weights, layer), [1], 0)]);
  const largest = b.emit("ReduceMax", [map, b.ints([1, 2])], { keepdims: 1 });
  return b.div(map, b.emit("Max", [largest, b.scalar(LEAST_WEIGHT)]));
}

/** What of the head's numbers is explained, [N, width]: that of a class, else what the kind says. */
function explained(b: GraphBuilder, task: Task, name: string | undefined, y: Value): Value {
  if (name === undefined) return task.explained?.(b, y) ?? b.emit("Hardmax", [y], { axis: 1 });
  const data = Float64Array.from(task.numbers, (each) => (each === name ? 1 : 0));
  const row = b.constant({ dtype: "float32", shape: [1, task.width], data });
  return b.where(b.emit("Less", [y, y]), y, row);
}

function cotangentOf(
  b: GraphBuilder,
  {
    value,
    seed,
    layer,
    heatmap,
    task,
  }: {
    readonly value: Value;
    readonly seed: Value;
    readonly layer: Value;
    readonly heatmap: Heatmap;
    readonly task: Task;
  },
): Value {
  let found: Value | undefined;
  try {
    found = appendCotangents(b, value, seed, [layer]).get(layer);
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    throw new MttcError(
      error.faults.map(({ message }) => ({
        code: "E_NOT_DIFFERENTIABLE",
        message: `no heat map of task "${task.name}" at ${heatmap.layer}: ${message}`,
        hint: "name a layer that lies behind it: --layer NAME",
      })),
      { cause: error },
    );
  }
  if (found) return found;
  throw new MttcError({
    code: "E_USAGE",
    message: `task "${task.name}" does not depend on the layer ${heatmap.layer}`,
    hint: "name a layer on the way to its head: --layer NAME",
  });
}

/** Height and width of a layer's map; E_USAGE where it has none, or a single place. */
function planeOf({ type, origin }: Value, name: string | undefined): [height: number, width: number] {
  const [, , height, width] = type.shape;
  const place = name ?? `the features (${origin})`;
  const hint = "name a layer whose result is [N,C,H,W]: --layer NAME";
  if (type.shape.length !== 4 || typeof height !== "number" || typeof width !== "number")
    throw new MttcError({
      code: "E_USAGE",
      message: `${place}: [${type.shape}] has no places, a heat map takes [N,C,H,W]`,
      hint,
    });
  if (height * width === 1)
    throw new MttcError({
      code: "E_USAGE",
      message: `${place}: one place alone, where no map can lie`,
      hint,
    });
  return [height, width];
}

function refuseUnknown({ name, numbers, numbersAre }: Task, wanted: string): void {
  if (numbers.includes(wanted)) return;
  throw new MttcError({
    code: "E_USAGE",
    message: `task "${name}" has no "${wanted}" among its ${numbersAre}`,
    hint: suggestName(wanted, numbers),
  });
}
