// Which form each operator of ours takes on CUDA, by shape. NOTHING HERE WAS MEASURED ON A DEVICE: the
// rules are expectations from what ONNX Runtime's CUDA provider does with each operator and from how many
// bytes a form moves. Autotuning (candidates.ts, runtime/train/autotune.ts) measures the forms on the
// device that is there and overrules them. Only operators with a CUDA kernel at opset 18 may come of a form
// (cudaKernels.ts).
import { elementCount, type Node } from "../ir/types.ts";
import { groupsToJoin } from "../ops/concatSplit.ts";
import type { FormOf } from "../ops/loweredOps.ts";
import {
  groupCount,
  hasColumns,
  hasEqualPads,
  hasImagesToSplit,
  hasPointFilters,
  hasStrides,
  isDepthwise,
  isFlippable,
  isPointwise,
  listAttr,
  MOST_COLUMNS,
  sizesOfValue,
} from "./convolutionShapes.ts";
import { cudaKernelFaults } from "./cudaKernels.ts";
import { AS_IS, type FormTable, type MeasuredForms } from "./forms.ts";
import type { TargetTraits } from "./target.ts";

/** Numbers that a factor of a product may take once it is stretched. */
const MOST_STRETCHED = 2 ** 26;

/** The name of the form of an operator for a node; own operators that are not here have no form on CUDA. */
const cudaForms: FormTable = {
  Conv: convolutionForm,
  ConvTranspose: (node) => (hasEqualPads(node) ? undefined : "symmetricPads"),
  ConvInputGrad: inputGradientForm,
  ConvWeightGrad: weightGradientForm,
  // cuDNN's description of a pooling has one pad an axis; ONNX Runtime gives it the first one.
  AveragePool: (node) => (hasEqualPads(node) && node.attrs.ceil_mode !== 1 ? undefined : "paddedMean"),
  // MaxUnpool has no CUDA kernel.
  MaxPoolGrad: () => "scatterAdd",
  // The CUDA kernel of BatchNormalization computes batch statistics only for a node with five outputs, which
  // opset 18 does not have: with training_mode and three it would silently use the running ones.
  BatchNormTraining: (node) => (hasLongRows(node) ? "imageRows" : "twoPass"),
  BatchNormTrainingGrad: (node) => (hasLongRows(node) ? "imageRows" : "channelAffine"),
  MaskedCrossEntropy: () => "logSoftmax",
  MaskedCrossEntropyGrad: () => "softmax",
  ReluGrad: () => "select",
  MaskGrad: () => "select",
  PieceGrad: () => "select",
  Concat: joiningForm,
  MatMul: productForm,
  AdamUpdate: () => "elementwise",
  MomentumUpdate: () => "elementwise",
};

/** ONNX Runtime's kernel uploads the addresses of more than 32 parts at every run. */
function joiningForm({ inputs }: Node): FormOf<"Concat"> | undefined {
  const sizes = new Set(inputs.map((input) => String(input?.type.shape)));
  return sizes.size === 1 && groupsToJoin(inputs.length) !== undefined ? "inGroups" : undefined;
}

/**
 * ONNX Runtime's kernel uploads three lists of addresses at every run where the leading axes of stacks are
 * stretched. Of a single matrix beside a stack no copies are made: it may be a large one.
 */
function productForm({ inputs, outputs }: Node): FormOf<"MatMul"> | undefined {
  const factors = inputs.map((input) => input?.type.shape ?? []);
  const lead = outputs[0]?.type.shape.slice(0, -2) ?? [];
  const isKnown = [lead, ...factors].every((shape) => shape.every((dim) => typeof dim === "number"));
  const isStretched = factors.some((shape) => String(shape.slice(0, -2)) !== String(lead));
  if (!isKnown || !isStretched || factors.some((shape) => shape.length < 3)) return undefined;
  const sizes = factors.map((shape) => elementCount([...lead, ...shape.slice(-2)]));
  return Math.max(...sizes) <= MOST_STRETCHED ? "wholeStacks" : undefined;
}

function convolutionForm(node: Node): FormOf<"Conv"> | undefined {
  // cuDNN's 1x1 convolution is a product already. Ours is one whole product for a single image; for more the
  // provider takes a list of pointers, which it uploads at every run.
  const [n] = node.inputs[0]?.type.shape ?? [];
  const kernel = sizesOfValue(node.inputs[1]).slice(2);
  return n === 1 && isPointwise(node, kernel) ? "product" : undefined;
}

function inputGradientForm(node: Node): FormOf<"ConvInputGrad"> {
  const [n] = sizesOfValue(node.inputs[0]);
  // ConvTranspose runs cuDNN's own backward-data convolution, strides and groups included.
  return n === 1 && isPointwise(node, sizesOfValue(node.inputs[1]).slice(2))
    ? "pointwiseProduct"
    : "symmetricTranspose";
}

/**
 * By the numbers that each form reads and writes, with x of X and dy of Y numbers and T taps: tapProducts
 * moves 2 T X for the taps and T (X + Y) for the products, columnProduct 4 T X and T X + Y (Concat copies
 * again), but is one product. Single images as parts save both transpositions, 2 (X + Y), for N partial
 * sums.
 */
function weightGradientForm(node: Node): FormOf<"ConvWeightGrad"> {
  const [n = 1, c = 1] = sizesOfValue(node.inputs[0]);
  const [, k = 1, p = 1, q = 1] = sizesOfValue(node.inputs[1]);
  const taps = listAttr(node, "kernel_shape", [1, 1]).reduce((product, size) => product * size, 1);
  if (groupCount(node) > 1) {
    // One number a tap and channel: products would be 1x1.
    return groupCount(node) === c && c === k ? "depthwise" : "tapProducts";
  }
  const partialsAreLess = n > 1 && k * c * taps <= (k + c) * p * q;
  // 2 T C < (T - 1) K: few channels into many filters, as in a first layer.
  const columns = 2 * taps * c < (taps - 1) * k && n * p * q * c * taps <= MOST_COLUMNS;
  if (columns) return partialsAreLess ? "splitColumnProduct" : "columnProduct";
  return partialsAreLess ? "splitTapProducts" : "tapProducts";
}

/**
 * Whether batch norm by rows of pixels moves fewer bytes. For a pixel, forward and backward together,
 * imageRows moves 8 + 24 in float16 and 16 + 48 in float32; twoPass and channelAffine 44 + 60 (with casts to
 * float32 and back) and 32 + 48. For a row imageRows moves 128 more, 164 in float16. With rows of 3 pixels or
 * 9 they are even; 16 leave something for the four casts inside each BatchNormalization of float16.
 */
function hasLongRows(node: Node): boolean {
  const pixels = sizesOfValue(node.inputs[0]).slice(2);
  return pixels.reduce((count, size) => count * size, 1) >= 16;
}

/** Products of matrices in one call: what a device's grid takes in the dimension that counts them. */
const MOST_PRODUCTS = 65_535;

/** Whether a batch norm goes by rows of pixels, few enough for a product of matrices each. */
function hasFewLongRows(node: Node): boolean {
  const [n = 1, c = 1] = sizesOfValue(node.inputs[0]);
  return hasLongRows(node) && n * c <= MOST_PRODUCTS;
}

const always = (): boolean => true;

const measured: MeasuredForms = {
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
};

/** ONNX Runtime's CUDA provider, on one device. */
export const cudaTarget: TargetTraits = {
  forms: cudaForms,
  measured,
  isMeasured: true,
  mixesPrecision: true,
  joinsUpdates: "alike",
  augmentsForCpu: false,
  warpsInLoader: false,
  laysOutFilters: false,
  gainsOnFilters: true,
  respell: (graph) => graph,
  kernelFaults: cudaKernelFaults,
};
