// MGDA: the shortest vector in the convex hull of the gradients.
import type { Value } from "../ir/types.ts";
import type { Combiner } from "./combiner.ts";
import { emitSolution } from "./parametricPivoting.ts";
import { identity, number, scaleGram, settingOf } from "./scaledGram.ts";

/** How far apart the starts of the tasks' paths lie, so that equal tasks do not come up at once. */
const SPREAD = 0.3;

/**
 * min w' A w over w >= 0, sum w = 1, where A = G / trace G + regularization I; solved to the end (Sener and
 * Koltun's Frank-Wolfe iteration, which TorchJD has, stops before). It is w = z / sum z for z >= 0,
 * y = A z - 1 >= 0, z' y = 0. Weights sum to 1, as the authors', LibMTL's and TorchJD's do. The combined
 * vector is 0 where some convex combination of the gradients is: a task whose gradient is 0 takes all weight,
 * and opposite gradients cancel. Equal gradients share their weight.
 */
export const mgda: Combiner = {
  kind: "gradients",
  name: "mgda",
  doc: "the shortest convex combination of the gradients; weights sum to 1, long gradients get little",
  source: "Sener and Koltun 2018, arXiv 1810.04650",
  settings: {
    regularization: {
      ...{ default: 1e-8, least: 1e-12, most: 1 },
      doc: "Added to the diagonal of the tasks' Gram matrix, as a part of its trace.",
    },
  },
  weights: (b, inputs) => {
    const { tasks, gram, present } = scaleGram(b, inputs);
    const regularization = settingOf(inputs, "regularization");
    const matrix = b.add(gram, identity(b, tasks, regularization));
    const starts = Float64Array.from({ length: tasks }, (_, t) => 1 + (SPREAD * t) / tasks);
    const column = (value: Value): Value => b.reshape(value, [1, tasks, 1]);
    const solution = emitSolution(b, {
      ...{ matrix: b.reshape(matrix, [1, tasks, tasks]), leastPivot: regularization / 2 },
      q: column(b.sub(number(b, 1), b.mul(number(b, 2), present))),
      d: column(b.mul(present, b.constant({ dtype: "float64", shape: [tasks], data: starts }))),
    });
    const z = b.reshape(solution, [tasks]);
    const sum = b.reduceSum(z, [0], 1);
    const isEmpty = b.emit("Equal", [sum, number(b, 0)]);
    return b.div(z, b.where(isEmpty, number(b, 1), sum));
  },
};
