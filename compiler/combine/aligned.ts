// Aligned-MTL: gradients are turned and stretched as little as makes them orthogonal and equally long.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { Combiner } from "./combiner.ts";
import { emitLeastEigenvalue, emitProjector, emitRootInverse } from "./matrixFunctions.ts";
import { identity, number, scaleGram, settingOf } from "./scaledGram.ts";

/**
 * w = B u, B = sqrt(lambda_R) V diag(1 / sqrt(lambda)) V', from the eigenvectors V and eigenvalues lambda_1
 * >= .. >= lambda_R of G that count; u = 1 / T over present tasks. The smallest singular value is the
 * scale, as the authors', LibMTL's and TorchJD's default, and the mean is theirs. What counts is above
 * tolerance times the trace (theirs: rounding of the dtype). No eigenvectors are computed: only functions
 * of G. A gradient of 0 gets weight 0, equal gradients are averaged, opposite ones cancel; without any
 * gradient w = u.
 */
export const aligned: Combiner = {
  kind: "gradients",
  name: "aligned",
  doc: "the mean of the gradients, made orthogonal and as long as the weakest direction (Aligned-MTL)",
  source: "Senushkin et al. 2023, arXiv 2305.19000",
  settings: {
    tolerance: {
      ...{ default: 1e-6, least: 1e-9, most: 0.1 },
      doc: "Directions whose eigenvalue is at most this part of the Gram matrix's trace count as none.",
    },
  },
  weights: (b, inputs) => {
    const { tasks, gram, share } = scaleGram(b, inputs);
    const tolerance = settingOf(inputs, "tolerance");
    const projector = emitProjector(b, gram, tolerance);
    const rest = b.sub(identity(b, tasks), projector);
    const regular = b.add(product(b, gram, projector), rest);
    const root = product(b, emitRootInverse(b, regular, tolerance), projector);
    const least = emitLeastEigenvalue(b, root, gram);
    const w = b.mul(b.emit("MatMul", [root, share]), b.emit("Sqrt", [least]));
    const isZero = b.emit("Equal", [b.reduceSum(gram, [0, 1], 0), number(b, 0)]);
    return b.where(isZero, share, w);
  },
};

function product(b: GraphBuilder, x: Value, y: Value): Value {
  return b.emit("MatMul", [x, y]);
}
