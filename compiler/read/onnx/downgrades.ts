// Operators and forms that came after opset 18: written out in operators of opset 18, or refused by name.
// Source of the rows: ONNX's Changelog.md; formulas: its function bodies.
import { ONNX_DTYPES } from "../../codec/tensorBytes.ts";
import type { OpName } from "../../ir/opNames.ts";
import type { Value } from "../../ir/types.ts";
import { attention } from "./attention.ts";
import { type ImportRule, refuseAll } from "./importRule.ts";
import type { NodeCall, Results } from "./nodeCall.ts";
import { standardNode } from "./standardNode.ts";
import { elementTypeName } from "./tensorValues.ts";
import { resizeOperands } from "./upgrades.ts";

/**
 * y = x / 2 (1 + erf(x / sqrt 2)), or with approximate="tanh" x / 2 (1 + tanh(sqrt(2/pi) (x + 0.044715
 * x^3))).
 */
function gelu(node: NodeCall): Results {
  const { b } = node;
  const x = node.value(0);
  const number = (value: number): Value => b.scalar(value, x.type.dtype);
  const mode = node.string("approximate", "none");
  if (mode !== "none" && mode !== "tanh") node.fail("E_MODEL_OP", `approximate=${mode} is not known`);
  const cube = () => b.mul(x, b.mul(x, x));
  const curve =
    mode === "tanh"
      ? part(node, "Tanh", b.mul(number(Math.sqrt(2 / Math.PI)), b.add(x, b.mul(number(0.044715), cube()))))
      : part(node, "Erf", b.mul(x, number(Math.SQRT1_2)));
  return [b.mul(b.mul(number(0.5), x), b.add(number(1), curve))];
}

/** y = x sigmoid(alpha x). */
function swish(node: NodeCall): Results {
  const x = node.value(0);
  const alpha = node.float("alpha", 1);
  const scaled = alpha === 1 ? x : node.b.mul(x, node.b.scalar(alpha, x.type.dtype));
  return [node.b.mul(x, part(node, "Sigmoid", scaled))];
}

function deviation(node: NodeCall, variance: Value): Value {
  const epsilon = node.b.scalar(node.float("epsilon", 1e-5), variance.type.dtype);
  return part(node, "Sqrt", node.b.add(variance, epsilon));
}

/** Axes from `axis` (default -1) to the last. */
function lastAxes(node: NodeCall, x: Value): number[] {
  const rank = x.type.shape.length;
  const axis = node.int("axis", -1) < 0 ? node.int("axis", -1) + rank : node.int("axis");
  if (axis < 0 || axis >= rank) node.fail("E_MODEL_SHAPE", `axis ${axis} of [${x.type.shape}]`);
  return Array.from({ length: rank - axis }, (_, i) => axis + i);
}

/** y = x / sqrt(mean x^2 + epsilon) scale, the mean over the last axes. */
function rootMeanSquareNorm(node: NodeCall): Results {
  const x = node.value(0);
  const square = node.b.reduceMean(node.b.mul(x, x), lastAxes(node, x), 1);
  return [node.b.mul(node.b.div(x, deviation(node, square)), node.value(1))];
}

/** x [N,C,...] standardised by groups of channels; scale and bias [C] are per channel since 21. */
function groupNorm(node: NodeCall): Results {
  const { b } = node;
  const [x, scale, bias] = [node.value(0), node.value(1), node.value(2)];
  const { dtype, shape } = x.type;
  const [, channels = 1, ...pixels] = shape;
  const groups = node.int("num_groups");
  if (!(groups > 0 && Number(channels) % groups === 0) || pixels.some((dim) => typeof dim !== "number"))
    node.fail("E_MODEL_SHAPE", `${groups} groups of the channels of [${shape}]`);
  const same = (value: number): Value =>
    b.constant({ dtype, shape: [groups], data: new Float64Array(groups).fill(value) });
  const epsilon = node.float("epsilon", 1e-5);
  const grouped = b.reshape(x, [0, groups, -1]);
  const normal = b.emit("InstanceNormalization", [grouped, same(1), same(0)], { epsilon });
  const back = b.reshape(normal, [0, Number(channels), ...pixels.map(Number)]);
  const column = (value: Value): Value => b.reshape(value, [Number(channels), ...pixels.map(() => 1)]);
  return [b.add(b.mul(back, column(scale)), column(bias))];
}

function castLike(node: NodeCall): Results {
  const to = ONNX_DTYPES[node.value(1).type.dtype];
  return standardNode(
    node.with({ operator: "Cast", inputs: [node.value(0)], attrs: { to, saturate: undefined } }),
  );
}

/** GridSample-20 renamed the mode bilinear. */
function gridSampleMode(node: NodeCall): Results {
  const mode = node.string("mode", "bilinear");
  if (mode === "cubic" || mode === "bicubic") node.fail("E_MODEL_OP", `mode=${mode} is not supported`);
  if (node.value(0).type.shape.length !== 4) node.fail("E_MODEL_OP", "grids of volumes are not supported");
  return standardNode(node.with({ attrs: { mode: mode === "linear" ? "bilinear" : mode } }));
}

/** Cast-19 and later: `saturate` matters for 8-bit floats only, which are not read. */
function castTo(node: NodeCall): Results {
  if (node.int("to") === 8) node.fail("E_MODEL_OP", `to ${elementTypeName(8)} is not supported`);
  return standardNode(node.with({ attrs: { saturate: undefined, round_mode: undefined } }));
}

/** A unary operator of the table, under the name of a function of ours. */
function part(node: NodeCall, operator: OpName, x: Value): Value {
  if (!node.b.ops.has(operator))
    node.fail("E_MODEL_OP", `needs the operator ${operator}, which is not supported`);
  return node.b.emit(operator, [x]);
}

function without(attribute: string, neutral: number | readonly number[], what: string) {
  return (node: NodeCall): Results => {
    const value = Array.isArray(neutral)
      ? node.ints(attribute, neutral)
      : node.int(attribute, Number(neutral));
    const isNeutral = Array.isArray(value) ? value.every((each) => each === 1) : value === neutral;
    if (!isNeutral) node.fail("E_MODEL_OP", `${what} is not supported`);
    return standardNode(node.with({ attrs: { [attribute]: undefined } }));
  };
}

/** Refuses one value of a string attribute that opset 18 does not have. */
function withoutMode(attribute: string, refused: string): (node: NodeCall) => Results {
  return (node) => {
    if (node.string(attribute, "") === refused)
      node.fail("E_MODEL_OP", `${attribute}=${refused} is not supported`);
    return standardNode(node);
  };
}

/** ReduceMax-20 and ReduceMin-20 take bool too. */
function numbersOnly(node: NodeCall): Results {
  if (node.value(0).type.dtype === "bool") node.fail("E_MODEL_OP", "of truth values is not supported");
  return standardNode(node);
}

/** A row whose operators are written out: an attribute that they know nothing of is refused by name. */
function decompose(
  operator: string,
  sinceOpset: number,
  reason: string,
  write: (node: NodeCall) => Results,
  attributes: readonly string[],
): ImportRule {
  const convert = (node: NodeCall): Results => {
    const unknown = [...node.attributes.keys()].find((name) => !attributes.includes(name));
    return unknown === undefined
      ? write(node)
      : node.fail("E_MODEL_OP", `attribute ${unknown} is not supported`);
  };
  return { operator, sinceOpset, treatment: "decomposed", reason, convert };
}

const ATTENTION_ATTRIBUTES = [
  ...["is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap"],
  "softmax_precision",
];

/** What came after opset 18 (CastLike came at 15, but is no more than a Cast). */
export const DOWNGRADES: readonly ImportRule[] = [
  decompose("Gelu", 20, "Erf, or Tanh where approximated", gelu, ["approximate"]),
  decompose("Swish", 24, "x Sigmoid(alpha x)", swish, ["alpha"]),
  decompose(
    "GroupNormalization",
    21,
    "InstanceNormalization of groups as channels; scale and bias are per channel since 21",
    groupNorm,
    ["epsilon", "num_groups", "stash_type"],
  ),
  decompose("RMSNormalization", 23, "x / sqrt(mean x^2 + epsilon) scale", rootMeanSquareNorm, [
    ...["axis", "epsilon", "stash_type"],
  ]),
  decompose(
    "Attention",
    23,
    "softmax(scale Q K' + mask) V, zeros where all is masked; no past keys, no windows",
    attention,
    ATTENTION_ATTRIBUTES,
  ),
  decompose("CastLike", 15, "Cast to the dtype of the other input", castLike, ["saturate", "round_mode"]),
  {
    operator: "Cast",
    sinceOpset: 19,
    treatment: "migrated",
    reason: "saturate and round_mode concern 8-bit floats, which are refused",
    convert: castTo,
  },
  {
    operator: "GridSample",
    sinceOpset: 16,
    treatment: "migrated",
    reason: "linear is called bilinear before 20; cubic interpolation and volumes are refused",
    convert: gridSampleMode,
  },
  {
    operator: "AveragePool",
    sinceOpset: 19,
    treatment: "migrated",
    reason: "dilations other than 1 are refused",
    convert: without("dilations", [1, 1], "an average pooling with dilations"),
  },
  {
    operator: "Pad",
    sinceOpset: 19,
    treatment: "migrated",
    reason: "the mode wrap is refused",
    convert: withoutMode("mode", "wrap"),
  },
  {
    operator: "Resize",
    sinceOpset: 19,
    treatment: "migrated",
    reason:
      "the coordinates of half_pixel_symmetric are refused, as are antialias and keep_aspect_ratio_policy",
    convert: resizeOperands,
  },
  ...["ReduceMax", "ReduceMin"].map(
    (operator): ImportRule => ({
      operator,
      sinceOpset: 20,
      treatment: "migrated",
      reason: "bool is refused",
      convert: numbersOnly,
    }),
  ),
  {
    operator: "SpaceToDepth",
    sinceOpset: 28,
    treatment: "migrated",
    reason: "the mode CRD is refused",
    convert: (node) => {
      if (node.string("mode", "DCR") !== "DCR") node.fail("E_MODEL_OP", "mode=CRD is not supported");
      return standardNode(node.with({ attrs: { mode: undefined } }));
    },
  },
  ...refuseAll(
    ["RotaryEmbedding", "TensorScatter", "LinearAttention", "CausalConvWithState", "SwiGLU"],
    23,
    "sequence models are not trunks of image networks",
  ),
  ...refuseAll(["DeformConv"], 19, "sampling positions that are learned have no derivative here"),
  ...refuseAll(["AffineGrid", "ImageDecoder"], 20, "not part of a feature extractor"),
  ...refuseAll(["StringConcat", "StringSplit", "RegexFullMatch"], 20, "strings are not read"),
  ...refuseAll(["CumProd", "BitCast"], 26, "newer than the operator table, and of no use in a trunk"),
];
