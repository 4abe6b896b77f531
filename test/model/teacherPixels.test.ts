// A teacher that divides its pixels itself is given them as they are: the same loss as one that does not.
import { expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { parseGraph } from "../../compiler/ir/print.ts";
import { buildDistillation } from "../../compiler/model/distillation.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { assertClose } from "../assertClose.ts";
import { PASS_FLOAT64 } from "../tolerances.ts";

/** Softmax of the channels' means times 9; `divided` or not before. */
function teacherGraph(divided: boolean) {
  const lines = [
    "%x: f32[2,3,8,8]    = Input ; x",
    "%axes: i64[2]       = Constant [2 3] ; axes",
    "%white: f32[]       = Constant [255] ; white",
    "%nine: f32[]        = Constant [9] ; nine",
    ...(divided
      ? ["%s: f32[2,3,8,8]    = Div %x, %white ; scale"]
      : ["%s: f32[2,3,8,8]    = Identity %x ; as it is"]),
    "%w: f32[3,3,1,1]    = Constant [1 0 0 0 1 0 0 0 1] ; w",
    "%r: f32[2,3,8,8]    = Conv %s, %w ; conv",
    "%m: f32[2,3]        = ReduceMean %r, %axes {keepdims=0} ; mean",
    "%n: f32[2,3]        = Mul %m, %nine ; nine times",
    "%p: f32[2,3]        = Softmax %n {axis=1} ; p",
    "output probabilities/t = %p",
  ];
  return parseGraph(`graph teacher\n${lines.join("\n")}\n`, OPS);
}

test.each([8, 16] as const)("of images of %d bits", (bits) => {
  const spec = resolveSpec({
    ...{ tasks: ["t"], classes: { t: ["a", "b", "c"] }, fcn: { layers: [4] }, imshape: 8, batch_size: 2 },
    ...(bits === 16 ? { bit_depth: 16 as const, norm: 65_535 } : {}),
  });
  const dtype = bits === 8 ? "uint8" : "uint16";
  const loss = (divided: boolean): Float64Array => {
    const b = new GraphBuilder("distilled", OPS);
    const image = b.input("image", dtype, [2, 8, 8, 3], { role: "image" });
    const logits = b.input("logits", "float32", [2, 3]);
    const outputs = new Map([["t", "probabilities/t"]]);
    const teacher = { graph: teacherGraph(divided), layout: "NCHW" as const, outputs, hash: "" };
    b.output(
      "loss",
      buildDistillation(
        b,
        { ...spec, distill_weight: 1 },
        teacher,
        image,
        new Map([[openTask({ task: "t", classes: ["a", "b", "c"] }), logits]]),
      ).objective,
    );
    const white = 2 ** bits - 1;
    const pixels = Float64Array.from({ length: 2 * 8 * 8 * 3 }, (_, i) =>
      Math.round((white * ((i * 37) % 101)) / 101),
    );
    const feeds = new Map([
      ["image", { dtype, shape: [2, 8, 8, 3], data: pixels } as const],
      ["logits", { dtype: "float32", shape: [2, 3], data: Float64Array.of(1, 2, 3, 0, 1, -1) } as const],
    ]);
    return interpret(b.build(), feeds).get("loss")?.data ?? new Float64Array();
  };
  const [plain, own] = [loss(false), loss(true)];
  expect(plain[0]).toBeGreaterThan(0.1);
  assertClose(own, plain, { tolerance: PASS_FLOAT64, what: "loss" });
});
