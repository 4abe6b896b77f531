// Operators whose form changed between opset 11 and 18 (before: earlyForms.ts), brought to that of 18: mostly
// attributes that became inputs. Source of the rows: ONNX's Changelog.md, by operator version.
import type { ImportRule } from "./importRule.ts";
import type { NodeCall, Results } from "./nodeCall.ts";
import { expandBySizes, reshapeBySizes, resizeBySizes, sliceBySizes, tileBySizes } from "./sizeOperands.ts";
import { standardNode } from "./standardNode.ts";

/** The attribute `axes` as input 1. */
function axesAsInput(node: NodeCall): Results {
  if (!node.has("axes")) return standardNode(node);
  const axes = node.b.ints(node.ints("axes"));
  return standardNode(node.with({ inputs: [node.inputs[0], axes], attrs: { axes: undefined } }));
}

/** The attribute `split` as input 1; without sizes, as many equal parts as there are outputs. */
function splitSizes(node: NodeCall): Results {
  if (node.has("split")) {
    const sizes = node.b.ints(node.ints("split"));
    return standardNode(node.with({ inputs: [node.inputs[0], sizes], attrs: { split: undefined } }));
  }
  const count = node.outputs.length;
  if (node.inputs[1]) return standardNode(node.with({ attrs: { num_outputs: undefined } }));
  if (node.int("num_outputs", count) !== count)
    node.fail("E_MODEL_PARSE", `num_outputs is ${node.int("num_outputs")}, there are ${count} outputs`);
  return standardNode(node.with({ attrs: { num_outputs: count } }));
}

/** Before 13 the axes from `axis` (default 1) on were normalised together, as the rows of a matrix. */
function flattenedSoftmax(node: NodeCall): Results {
  const x = node.value(0);
  const rank = x.type.shape.length;
  const axis = node.int("axis", 1) < 0 ? node.int("axis") + rank : node.int("axis", 1);
  if (axis === rank - 1) return standardNode(node.with({ attrs: { axis } }));
  const rows = node.with({ operator: "Flatten", inputs: [x], attrs: { axis } });
  const [matrix] = standardNode(rows);
  const [result] = standardNode(node.with({ inputs: [matrix], attrs: { axis: 1 } }));
  const back = x.type.shape.map((dim, i) => (typeof dim === "number" ? dim : i === 0 ? 0 : -1));
  // A symbol other than the first dimension is the rest; the first is copied only if the matrix has it as
  // it is.
  const operand = axis === 1 ? back : back.map((dim, i) => (i === 0 && dim === 0 ? -1 : dim));
  return standardNode(
    node.with({ operator: "Reshape", inputs: [result, node.b.ints(operand)], attrs: { axis: undefined } }),
  );
}

/** Inference form, whatever form the file has: the first output from the running statistics. */
function inferenceNorm(node: NodeCall): Results {
  const isTraining = node.int("training_mode", 0) !== 0 || node.outputs.length > 1;
  if (isTraining) node.ctx.notes.add("batch norms in training form are read in inference form");
  const attrs = { training_mode: undefined, spatial: undefined };
  if (node.int("spatial", 1) !== 1) node.fail("E_MODEL_OP", "spatial=0 is not supported");
  return standardNode(node.with({ attrs, outputs: node.outputs.slice(0, 1) }));
}

/** Its input takes its place; for a mask that something reads, the operator stays, in its inference form. */
function withoutDropout(node: NodeCall): Results {
  node.ctx.notes.add("dropout layers are left out");
  if (!node.outputs[1]) return [node.value(0)];
  const [, mask] = standardNode(node.with({ inputs: [node.value(0)], attrs: { ratio: undefined } }));
  return [node.value(0), mask];
}

/**
 * Without output_shape it is what a MaxPool of these windows came from:
 * (P - 1) stride + kernel - pads, by axis of x [N,C,P,Q].
 */
function unpoolShape(node: NodeCall): Results {
  if (node.inputs[2]) return standardNode(node);
  const { shape } = node.value(0).type;
  const kernel = node.ints("kernel_shape");
  const sizes = shape.map((size, axis) => {
    if (typeof size !== "number")
      return node.fail("E_MODEL_OP", "the size of the result depends on the batch");
    if (axis < 2) return size;
    const spatial = axis - 2;
    const stride =
      node.ints(
        "strides",
        kernel.map(() => 1),
      )[spatial] ?? 1;
    const pads = node.ints(
      "pads",
      [...kernel, ...kernel].map(() => 0),
    );
    const padded = (pads[spatial] ?? 0) + (pads[spatial + kernel.length] ?? 0);
    return (size - 1) * stride + (kernel[spatial] ?? 1) - padded;
  });
  return standardNode(node.with({ inputs: [node.inputs[0], node.inputs[1], node.b.ints(sizes)] }));
}

/** Empty operands of Resize are absent ones. */
export function resizeOperands(node: NodeCall): Results {
  const mode = node.string("coordinate_transformation_mode", "half_pixel");
  if (mode === "half_pixel_symmetric" || mode === "tf_half_pixel_for_nn")
    node.fail("E_MODEL_OP", `coordinate_transformation_mode ${mode} is not supported`);
  const inputs = node.inputs.map((input, i) => (node.constant(i)?.data.length === 0 ? undefined : input));
  const attrs = { keep_aspect_ratio_policy: undefined };
  if (node.string("keep_aspect_ratio_policy", "stretch") !== "stretch")
    node.fail("E_MODEL_OP", "keep_aspect_ratio_policy other than stretch is not supported");
  return resizeBySizes(node.with({ inputs, attrs }));
}

const AXES_REASON = "the attribute axes became an input";
const REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"];

/** Older forms, opset 9 to 17, and what depends on the batch. */
export const UPGRADES: readonly ImportRule[] = [
  ...["ReduceSum", "Squeeze", "Unsqueeze"].map(
    (operator): ImportRule => ({
      operator,
      sinceOpset: 9,
      untilOpset: 12,
      treatment: "migrated",
      reason: `${AXES_REASON} at 13`,
      convert: axesAsInput,
    }),
  ),
  ...REDUCTIONS.map(
    (name): ImportRule => ({
      operator: `Reduce${name}`,
      sinceOpset: 9,
      untilOpset: 17,
      treatment: "migrated",
      reason: `${AXES_REASON} at 18`,
      convert: axesAsInput,
    }),
  ),
  {
    operator: "Split",
    sinceOpset: 9,
    treatment: "migrated",
    reason: "the attribute split became an input at 13; without sizes, num_outputs must be given from 18 on",
    convert: splitSizes,
  },
  ...["Softmax", "LogSoftmax", "Hardmax"].map(
    (operator): ImportRule => ({
      operator,
      sinceOpset: 9,
      untilOpset: 12,
      treatment: "migrated",
      reason:
        "before 13 all axes from `axis` (default 1) on were normalised together: flattened and put back",
      convert: flattenedSoftmax,
    }),
  ),
  {
    operator: "BatchNormalization",
    sinceOpset: 9,
    treatment: "migrated",
    reason: "training form (5 outputs before 14, 3 and training_mode since) is read in inference form",
    convert: inferenceNorm,
  },
  {
    operator: "Dropout",
    sinceOpset: 9,
    treatment: "removed",
    reason:
      "does nothing at inference; ratio and training_mode are not looked at, the mask is true everywhere",
    convert: withoutDropout,
  },
  {
    operator: "MaxUnpool",
    sinceOpset: 9,
    treatment: "migrated",
    reason: "without output_shape, which is then computed from the windows",
    convert: unpoolShape,
  },
  {
    operator: "Reshape",
    sinceOpset: 9,
    treatment: "migrated",
    reason: "a batch size that the file has fixed, or a symbolic one, is copied from the input",
    convert: reshapeBySizes,
  },
  {
    operator: "Expand",
    sinceOpset: 9,
    treatment: "migrated",
    reason: "a batch size that the file has fixed, or a symbolic one, is taken from the input",
    convert: expandBySizes,
  },
  {
    operator: "Tile",
    sinceOpset: 9,
    treatment: "migrated",
    reason: "repeats that depend on the batch repeat for each image",
    convert: tileBySizes,
  },
  {
    operator: "Slice",
    sinceOpset: 10,
    treatment: "migrated",
    reason: "bounds that depend on the batch must be the whole of the batch's axis",
    convert: sliceBySizes,
  },
  {
    operator: "Resize",
    sinceOpset: 11,
    untilOpset: 18,
    treatment: "migrated",
    reason:
      "empty roi, scales or sizes (11 and 12 have no other way to leave them out) are left out; " +
      "keep_aspect_ratio_policy and the coordinates of tf_half_pixel_for_nn are refused",
    convert: resizeOperands,
  },
  {
    operator: "Upsample",
    sinceOpset: 11,
    treatment: "refused",
    reason: "left ONNX at opset 10; exporters since write Resize",
  },
];
