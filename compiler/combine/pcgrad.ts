// PCGrad: each gradient without the parts that conflict with others, added up.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { CombineInputs, Combiner } from "./combiner.ts";
import { diagonal, identity, number, type ScaledGram, scaleGram } from "./scaledGram.ts";

/**
 * Each task i begins with v = e_i and goes through the others in a drawn order: v_j -= min((G v)_j, 0) /
 * G_jj, which projects its vector onto the plane of g_j where they conflict; w = sum over present tasks of
 * v. The vectors are added, as LibMTL and TorchJD do: without conflicts it is `sum`. Two tasks need no
 * order. A gradient of 0 takes no part in projections; opposite gradients cancel to 0.
 */
export const pcgrad: Combiner = {
  kind: "gradients",
  name: "pcgrad",
  doc: "the sum of the gradients, each projected off those that it conflicts with, in a drawn order",
  source: "Yu et al. 2020, arXiv 2001.06782",
  settings: {},
  host: { order: "task_orders" },
  weights: (b, inputs) => {
    const scaled = scaleGram(b, inputs);
    const { tasks, present } = scaled;
    const order = orderOf(b, tasks, inputs);
    const planes = planesOf(b, scaled);
    let v = identity(b, tasks);
    for (let turn = 0; turn < tasks - 1; turn++) {
      const other = b.emit("Gather", [order, b.scalar(turn, "int64")], { axis: 1 });
      const plane = b.emit("Gather", [planes, other], { axis: 0 });
      const [row, unit] = b.emitAll("Split", [plane, b.ints([tasks, tasks])], { axis: 1 }, 2);
      const conflict = b.emit("Min", [b.reduceSum(b.mul(v, row!), [1], 1), number(b, 0)]);
      v = b.sub(v, b.mul(conflict, unit!));
    }
    return b.reduceSum(b.mul(v, b.reshape(present, [tasks, 1])), [0], 0);
  },
};

/** Of each task the others in the order in which it meets them, int64 [T, T-1]. */
function orderOf(b: GraphBuilder, tasks: number, { host }: CombineInputs): Value {
  if (tasks > 2) return host("order");
  const others = Float64Array.from({ length: tasks * (tasks - 1) }, (_, t) => 1 - t);
  return b.constant({ dtype: "int64", shape: [tasks, tasks - 1], data: others });
}

/** [T, 2 T]: of each task its row of G over its diagonal, 0 for a gradient of 0, and its unit row. */
function planesOf(b: GraphBuilder, { tasks, gram }: ScaledGram): Value {
  const squares = diagonal(b, gram);
  const isZero = b.emit("Equal", [squares, number(b, 0)]);
  const divisor = b.reshape(b.where(isZero, number(b, 1), squares), [tasks, 1]);
  return b.emit("Concat", [b.div(gram, divisor), identity(b, tasks)], { axis: 1 });
}
