// UPGrad: the mean of the gradients, each projected so that it harms no task.
import type { Combiner } from "./combiner.ts";
import { emitSolution } from "./parametricPivoting.ts";
import { identity, scaleGram, settingOf } from "./scaledGram.ts";

/**
 * For each task t: min v' A v over v >= e_t, where A = G / trace G + regularization I; w = mean over
 * present tasks of v. With u = v - e_t it is u >= 0, y = A u + A e_t >= 0, u' y = 0, all tasks as one
 * batch. The mean is the authors' and TorchJD's scale: without conflicts it is the mean of the gradients, 1
 * / T of `sum`. TorchJD's further rule, zeros where the trace is below 1e-4, is not taken over: gradients
 * of any size are treated alike. A gradient of 0 adds nothing and hinders nobody; opposite ones of equal
 * length cancel.
 */
export const upgrad: Combiner = {
  kind: "gradients",
  name: "upgrad",
  doc: "the mean of the gradients, each projected so that it conflicts with no task's",
  source: "Quinton and Rey 2024, arXiv 2406.16232",
  settings: {
    regularization: {
      ...{ default: 1e-8, least: 1e-12, most: 1 },
      doc:
        "Added to the diagonal of the tasks' Gram matrix, as a part of its trace (TorchJD's reg_eps, there 1e-4); " +
        "of the conflict with a gradient 1 / k as long as the longest it leaves about regularization * k^2.",
    },
  },
  weights: (b, inputs) => {
    const { tasks, gram, present, share } = scaleGram(b, inputs);
    const regularization = settingOf(inputs, "regularization");
    const matrix = b.add(gram, identity(b, tasks, regularization));
    const u = emitSolution(b, {
      matrix: b.expand(b.reshape(matrix, [1, tasks, tasks]), [tasks, tasks, tasks]),
      q: b.reshape(matrix, [tasks, tasks, 1]),
      d: b.expand(b.reshape(present, [1, tasks, 1]), [tasks, tasks, 1]),
      leastPivot: regularization / 2,
    });
    const v = b.add(b.reshape(u, [tasks, tasks]), identity(b, tasks));
    return b.reduceSum(b.mul(v, b.reshape(share, [tasks, 1])), [0], 0);
  },
};
