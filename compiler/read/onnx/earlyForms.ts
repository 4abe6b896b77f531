// Operators in the forms of opset 9 and 10, brought to that of 18: attributes that became inputs at 10 and
// 11, and the resizes before Resize-11. Source of the rows: ONNX's Changelog.md; of the sampled places:
// ONNX Runtime, which has to say what Upsample-9 and Resize-10 leave open.
import type { Value } from "../../ir/types.ts";
import type { ImportRule } from "./importRule.ts";
import type { NodeCall, Results } from "./nodeCall.ts";
import { resizeBySizes } from "./sizeOperands.ts";
import { standardNode } from "./standardNode.ts";

/** Slice-1: starts, ends and axes are attributes. */
function sliceByAttributes(node: NodeCall): Results {
  const [starts, ends] = [node.ints("starts"), node.ints("ends")];
  const axes = node.ints(
    "axes",
    starts.map((_, i) => i),
  );
  const lists = [starts, ends, axes].map((list) => node.b.ints(list));
  const attrs = { starts: undefined, ends: undefined, axes: undefined };
  return standardNode(node.with({ inputs: [node.inputs[0], ...lists], attrs }));
}

/** Clip-6: bounds are attributes. */
function clipByAttributes(node: NodeCall): Results {
  const { dtype } = node.value(0).type;
  const bound = (name: string): Value | undefined =>
    node.has(name) ? node.b.scalar(node.float(name), dtype) : undefined;
  const inputs = [node.inputs[0], bound("min"), bound("max")];
  return standardNode(node.with({ inputs, attrs: { min: undefined, max: undefined } }));
}

/** Pad-2: pads and value are attributes. */
function padByAttributes(node: NodeCall): Results {
  const { dtype } = node.value(0).type;
  const inputs = [
    node.inputs[0],
    node.b.ints(node.ints("pads")),
    node.b.scalar(node.float("value", 0), dtype),
  ];
  return standardNode(node.with({ inputs, attrs: { pads: undefined, value: undefined } }));
}

/** TopK-1: k is an attribute. */
function topByAttribute(node: NodeCall): Results {
  const inputs = [node.inputs[0], node.b.ints([node.int("k")])];
  return standardNode(node.with({ inputs, attrs: { k: undefined } }));
}

/**
 * Upsample-9 and Resize-10: target pixel p shows place p / scale, the nearest pixel before it where the image
 * grows, behind it where it shrinks.
 */
function resizeByScales(node: NodeCall): Results {
  const scales = node.numbers(1);
  const shrinks = scales.some((scale) => scale < 1);
  const mode = node.string("mode", "nearest");
  if (shrinks && mode === "nearest" && scales.some((scale) => scale > 1))
    node.fail("E_MODEL_OP", `scales [${scales}] that grow one axis and shrink another are not supported`);
  const attrs = {
    mode: mode === "bilinear" ? "linear" : mode,
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: shrinks ? "ceil" : "floor",
  };
  const inputs = [node.inputs[0], undefined, node.inputs[1]];
  return resizeBySizes(node.with({ operator: "Resize", inputs, attrs }));
}

const scatter = (node: NodeCall): Results => standardNode(node.with({ operator: "ScatterElements" }));

function early(
  operator: string,
  [sinceOpset, untilOpset]: readonly [number, number],
  reason: string,
  convert: (node: NodeCall) => Results,
): ImportRule {
  return { operator, sinceOpset, untilOpset, treatment: "migrated", reason, convert };
}

/** What changed at opset 10 and 11. */
export const EARLY_FORMS: readonly ImportRule[] = [
  early("Slice", [9, 9], "the attributes starts, ends and axes became inputs at 10", sliceByAttributes),
  early("Clip", [9, 10], "the attributes min and max became inputs at 11", clipByAttributes),
  early("Pad", [9, 10], "the attributes pads and value became inputs at 11", padByAttributes),
  early("TopK", [9, 9], "the attribute k became an input at 10", topByAttribute),
  early("Upsample", [9, 10], "is Resize from 10 on, with asymmetric coordinates", resizeByScales),
  early("Resize", [10, 10], "coordinates were asymmetric, the nearest pixel the one before", resizeByScales),
  early("Scatter", [9, 10], "is called ScatterElements from 11 on", scatter),
];
