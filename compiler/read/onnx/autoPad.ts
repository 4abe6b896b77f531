// Windows of convolutions and poolings as the table has them: 2-D, every list of its full length, pads
// explicit. What auto_pad and output_shape say is computed from the image's size, which is known at import.
import type { Value } from "../../ir/types.ts";
import type { NodeCall } from "./nodeCall.ts";

interface Axis {
  readonly size: number;
  readonly extent: number;
  readonly stride: number;
  readonly outputPadding: number;
  /** From the attribute output_shape of ConvTranspose. */
  readonly outputSize: number | undefined;
}

/** The node without auto_pad, output_shape and wrong lists; E_MODEL_OP unless it works on [N,C,H,W]. */
export function explicitWindow(node: NodeCall, inputs: readonly (Value | undefined)[]): NodeCall {
  const x = inputs[0]?.type.shape ?? [];
  const filters = node.operator.startsWith("Conv") ? inputs[1]?.type.shape : undefined;
  if (x.length !== 4) node.fail("E_MODEL_OP", `works on [${x}]; only 2-D images [N,C,H,W] are supported`);
  const list = (name: string, standard: readonly number[], least: number): readonly number[] => {
    const values = node.ints(name, standard);
    if (values.length !== standard.length || values.some((value) => !(value >= least)))
      node.fail("E_MODEL_SHAPE", `attribute ${name} is [${values}], expected ${standard.length} numbers`);
    return values;
  };
  const kernel = list("kernel_shape", filters ? filters.slice(2).map(Number) : [0, 0], 1);
  if (filters && String(filters.slice(2)) !== String(kernel))
    node.fail("E_MODEL_SHAPE", `attribute kernel_shape is [${kernel}], the filters are [${filters}]`);
  const [strides, dilations] = [list("strides", [1, 1], 1), list("dilations", [1, 1], 1)];
  const outputPadding = list("output_padding", [0, 0], 0);
  const outputShape = node.has("output_shape") ? node.ints("output_shape").slice(-2) : undefined;
  const axes = [0, 1].map((i): Axis => {
    const extent = ((kernel[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1;
    const size = Number(x[i + 2]);
    const axis = { size, extent, stride: strides[i] ?? 1, outputPadding: outputPadding[i] ?? 0 };
    return { ...axis, outputSize: outputShape?.[i] };
  });
  const pads = windowPads(node, axes) ?? list("pads", [0, 0, 0, 0], 0);
  const attrs = { strides, pads, kernel_shape: kernel, auto_pad: undefined, output_shape: undefined };
  return node.with({ attrs: { ...attrs, ...(node.has("dilations") && { dilations }) } });
}

/** Pads [top, left, bottom, right] that auto_pad or output_shape ask for; undefined where neither does. */
function windowPads(node: NodeCall, axes: readonly Axis[]): readonly number[] | undefined {
  const mode = node.string("auto_pad", "NOTSET");
  const isTranspose = node.operator === "ConvTranspose";
  const hasOutputShape = axes.some(({ outputSize }) => outputSize !== undefined);
  if (mode === "VALID") return [0, 0, 0, 0];
  if (mode === "NOTSET" && !hasOutputShape) return undefined;
  if (mode !== "NOTSET" && mode !== "SAME_UPPER" && mode !== "SAME_LOWER")
    node.fail("E_MODEL_OP", `auto_pad ${mode} is not known`);
  const totals = axes.map((axis) => (isTranspose ? transposedPad(node, axis) : samePad(axis)));
  // What is odd goes to the end with SAME_UPPER, to the beginning with SAME_LOWER; of a transposed
  // convolution, where pads are cut off, ONNX Runtime gives the larger half to the beginning unless
  // SAME_UPPER.
  const before = totals.map((total) => {
    const isLarger = isTranspose ? mode !== "SAME_UPPER" : mode === "SAME_LOWER";
    return isLarger ? Math.ceil(total / 2) : Math.floor(total / 2);
  });
  return [...before, ...totals.map((total, i) => total - (before[i] ?? 0))];
}

/** ceil(size / stride) windows are to fit. */
function samePad({ size, extent, stride }: Axis): number {
  return Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
}

/** What is cut off a transposed convolution so that output_shape, or size times stride, is left. */
function transposedPad(node: NodeCall, axis: Axis): number {
  const { size, extent, stride, outputPadding, outputSize = size * stride } = axis;
  const total = (size - 1) * stride + outputPadding + extent - outputSize;
  if (total < 0) node.fail("E_MODEL_OP", "an output_shape beyond the windows is not supported");
  return total;
}
