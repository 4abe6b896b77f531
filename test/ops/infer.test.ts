// Shape rules: symbols pass through where they may, and what does not fit is refused with what was expected
// and found.
import { describe, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import type { OpName } from "../../compiler/ir/opNames.ts";
import { type Attrs, parseTypeText, typeText } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";

/** An input by its type ("f32[N,3]"), or a list of int64 constants. */
type Given = string | readonly number[];

function resultOf(op: OpName, inputs: readonly Given[], attrs: Attrs = {}, outputs = 1): string[] {
  const b = new GraphBuilder("infer", OPS);
  const values = inputs.map((given, i) => {
    if (typeof given !== "string") return b.ints(given);
    const { dtype, shape } = parseTypeText(given);
    return b.input(`x${i}`, dtype, shape);
  });
  return b.emitAll(op, values, attrs, outputs).map((value) => typeText(value.type));
}

const END = 2 ** 31 - 1;

describe("a symbolic size passes through", () => {
  const cases: readonly (readonly [op: OpName, inputs: readonly Given[], attrs: Attrs, result: string])[] = [
    ["Add", ["f32[N,3]", "f32[3]"], {}, "f32[N,3]"],
    ["Mul", ["f32[N,1]", "f32[N,4]"], {}, "f32[N,4]"],
    ["Where", ["bool[N,1]", "f32[]", "f32[1,2]"], {}, "f32[N,2]"],
    ["Greater", ["f32[N]", "f32[]"], {}, "bool[N]"],
    ["Softmax", ["f32[N,5]"], {}, "f32[N,5]"],
    ["ArgMax", ["f32[N,5]"], { axis: 1, keepdims: 0 }, "i64[N]"],
    ["Cast", ["u8[N,H]"], { to: "float32" }, "f32[N,H]"],
    ["Reshape", ["f32[N,4,4]", [0, -1]], {}, "f32[N,16]"],
    ["Reshape", ["f32[N,16]", [-1, 4, 4]], {}, "f32[N,4,4]"],
    ["Reshape", ["f32[N,M,6]", [0, 0, 2, -1]], {}, "f32[N,M,2,3]"],
    ["Reshape", ["f32[N,6]", [0, 1, 6]], {}, "f32[N,1,6]"],
    ["Reshape", ["f32[N,3]", [-1]], {}, "f32[3*N]"],
    ["Reshape", ["f32[N,2,4,2,4,8]", [-1, 4, 4, 8]], {}, "f32[4*N,4,4,8]"],
    ["Reshape", ["f32[4*N,4,8]", [-1, 2, 2, 4, 8]], {}, "f32[N,2,2,4,8]"],
    ["Flatten", ["f32[N,3,4]"], {}, "f32[N,12]"],
    ["Flatten", ["f32[N,3,4]"], { axis: 2 }, "f32[3*N,4]"],
    ["Squeeze", ["f32[N,1]", [1]], {}, "f32[N]"],
    ["Squeeze", ["f32[N,1]"], {}, "f32[N]"],
    ["Unsqueeze", ["f32[N]", [-1]], {}, "f32[N,1]"],
    ["Transpose", ["f32[N,3,4]"], { perm: [0, 2, 1] }, "f32[N,4,3]"],
    ["Slice", ["f32[N,8]", [2], [6], [1]], {}, "f32[N,4]"],
    ["Slice", ["f32[N,8]", [0], [END], [0]], {}, "f32[N,8]"],
    ["Concat", ["f32[N,2]", "f32[N,3]"], { axis: 1 }, "f32[N,5]"],
    ["Expand", ["f32[N,1]", [1, 4]], {}, "f32[N,4]"],
    ["Concat", ["f32[N,2]", "f32[2*N,2]"], { axis: 0 }, "f32[3*N,2]"],
    ["Tile", ["f32[N,3]", [1, 2]], {}, "f32[N,6]"],
    ["Tile", ["f32[N,3]", [2, 1]], {}, "f32[2*N,3]"],
    ["Pad", ["f32[N,3]", [0, 1, 0, 1]], {}, "f32[N,5]"],
    ["Gather", ["f32[7,3]", "i64[N]"], {}, "f32[N,3]"],
    ["GatherElements", ["f32[N,5]", "i64[N,1]"], { axis: 1 }, "f32[N,1]"],
    ["ReduceSum", ["f32[N,3,4]", [1, 2]], { keepdims: 0 }, "f32[N]"],
    ["ReduceMean", ["f32[N,3]", [0]], {}, "f32[1,3]"],
    ["MatMul", ["f32[N,3]", "f32[3,4]"], {}, "f32[N,4]"],
    ["Gemm", ["f32[N,3]", "f32[4,3]", "f32[4]"], { transB: 1 }, "f32[N,4]"],
    ["BatchNormalization", ["f32[N,3,H,W]", "f32[3]", "f32[3]", "f32[3]", "f32[3]"], {}, "f32[N,3,H,W]"],
    ["BatchNormTraining", ["f16[2,3,4]", "f32[3]", "f32[3]"], {}, "f16[2,3,4]"],
    ["PRelu", ["f32[N,3,4,4]", "f32[3,1,1]"], {}, "f32[N,3,4,4]"],
    ["Clip", ["f32[N,3]", "f32[]"], {}, "f32[N,3]"],
    ["GlobalAveragePool", ["f32[N,3,H,W]"], {}, "f32[N,3,1,1]"],
    [
      "AveragePool",
      ["f32[N,3,5,5]"],
      { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 },
      "f32[N,3,3,3]",
    ],
    ["ConvTranspose", ["f32[N,4,3,3]", "f32[4,2,2,2]"], { strides: [2, 2] }, "f32[N,2,6,6]"],
    ["LayerNormalization", ["f32[N,5,8]", "f32[8]"], {}, "f32[N,5,8]"],
    ["InstanceNormalization", ["f32[N,3,H]", "f32[3]", "f32[3]"], {}, "f32[N,3,H]"],
    ["GroupNormalization", ["f32[N,4,8]", "f32[2]", "f32[2]"], { num_groups: 2 }, "f32[N,4,8]"],
    ["Einsum", ["f32[N,3,4]", "f32[4,5]"], { equation: "nij,jk->nik" }, "f32[N,3,5]"],
    ["Einsum", ["f32[N,3,4]", "f32[N,4,5]"], { equation: "...ij,...jk" }, "f32[N,3,5]"],
    ["Pad", ["f32[N,3]", [0, -1, 0, 2]], {}, "f32[N,4]"],
    ["DepthToSpace", ["f32[N,8,2,3]"], { blocksize: 2 }, "f32[N,2,4,6]"],
    ["SpaceToDepth", ["f32[N,2,4,6]"], { blocksize: 2 }, "f32[N,8,2,3]"],
    ["GridSample", ["f32[N,3,4,4]", "f32[N,5,6,2]"], {}, "f32[N,3,5,6]"],
    ["GatherND", ["f32[7,3]", "i64[N,1]"], {}, "f32[N,3]"],
    ["OneHot", ["i64[N]", [5], "f32[2]"], {}, "f32[N,5]"],
    ["TopK", ["f32[N,5]", [2]], {}, "f32[N,2]"],
    ["CumSum", ["f32[N,5]", [1]], {}, "f32[N,5]"],
    ["Dropout", ["f32[N,5]"], {}, "f32[N,5]"],
    ["Shape", ["f32[N,5]"], {}, "i64[2]"],
    ["NegativeLogLikelihoodLoss", ["f32[N,5]", "i64[N]"], { reduction: "none" }, "f32[N]"],
  ];
  for (const [op, inputs, attrs, result] of cases)
    test(`${op} of ${inputs.join(" and ")} is ${result}`, () => {
      expect(resultOf(op, inputs, attrs)).toEqual([result]);
    });
  test("Split gives all its parts", () => {
    expect(resultOf("Split", ["f32[N,5]", [2, 3]], { axis: 1 }, 2)).toEqual(["f32[N,2]", "f32[N,3]"]);
  });
});

describe("what does not fit is refused with E_SHAPE", () => {
  const cases: readonly (readonly [op: OpName, inputs: readonly Given[], attrs: Attrs, message: RegExp])[] = [
    ["Add", ["f32[2,3]", "f32[2]"], {}, /expected shapes that broadcast, found \[2,3\] and \[2\]/],
    ["Add", ["f32[N]", "f32[M]"], {}, /found \[N\] and \[M\]/],
    ["Add", ["f32[2]", "i64[2]"], {}, /found float32 and int64/],
    ["Add", ["bool[2]", "bool[2]"], {}, /expected a number tensor, found bool/],
    ["Exp", ["i64[2]"], {}, /expected a float tensor, found int64/],
    ["And", ["f32[2]", "bool[2]"], {}, /expected a bool tensor, found float32/],
    ["Where", ["f32[2]", "f32[2]", "f32[2]"], {}, /expected a bool tensor/],
    ["Softmax", ["f32[2,3]"], { axis: 2 }, /expected an axis of a tensor with 2 dimensions, found 2/],
    ["Cast", ["f32[2]"], { to: "int8" }, /found int8/],
    ["Reshape", ["f32[2,3]", [4, 2]], {}, /number of elements differs|is not|does not divide/],
    ["Reshape", ["f32[2,3]", [4, -1]], {}, /\[4\] does not divide \[2,3\]/],
    ["Reshape", ["f32[2,3]", [-1, -1]], {}, /-1 stands twice/],
    ["Reshape", ["f32[2,3]", [2, 3, 0]], {}, /there is no dimension 2 to copy/],
    ["Reshape", ["f32[N,3]", [2, 3]], {}, /expected a shape that \[N,3\] can take/],
    ["Reshape", ["f32[N,M]", [-1]], {}, /is not one size/],
    ["Reshape", ["f32[6*N,3]", [-1, 4]], {}, /\[4\] does not divide \[6\*N,3\]/],
    ["Concat", ["f32[N,2]", "f32[1,2]"], { axis: 0 }, /the sum of the sizes \[N,1\] is not one size/],
    ["Reshape", ["f32[2,3]", "i64[2]"], {}, /input shape must be constant/],
    ["Reshape", ["f32[0,3]", [5]], {}, /expected a shape/],
    ["Squeeze", ["f32[2,1]", [0]], {}, /expected size 1 at axis 0/],
    ["Unsqueeze", ["f32[2]", [0, 0]], {}, /expected different axes/],
    ["Transpose", ["f32[2,3]"], { perm: [0, 0] }, /expected a permutation/],
    ["Slice", ["f32[N,3]", [1], [2], [0]], {}, /expected all of axis 0, whose size is N/],
    ["Slice", ["f32[3]", [1], [2], [0], [0]], {}, /expected a step, found 0/],
    ["Concat", ["f32[2,3]", "f32[3,3]"], { axis: 1 }, /expected float32\[2,3\] but for axis 1/],
    ["Split", ["f32[5]", [2, 2]], {}, /expected parts that add up to 5/],
    ["Pad", ["f32[3]", [-2, -1]], {}, /pads \[-2,-1\] crop more than there is of \[3\]/],
    ["Pad", ["f32[3]", [3, 1]], { mode: "reflect" }, /expected pads below 3/],
    ["Pad", ["f32[3]", [1, 1]], { mode: "wrap" }, /found "wrap"/],
    ["Gather", ["f32[3]", "f32[1]"], {}, /expected indices of int32 or int64, found float32/],
    ["ScatterElements", ["f32[3]", "i64[2]", "f32[1]"], {}, /expected updates float32\[2\]/],
    ["ScatterElements", ["f32[3]", "i64[2]", "f32[2]"], { reduction: "mul" }, /found mul/],
    ["MatMul", ["f32[2,3]", "f32[4,2]"], {}, /found \[2,3\], \[4,2\]/],
    ["Gemm", ["f32[2,3]", "f32[3,4]", "f32[3]"], {}, /expected shapes that broadcast/],
    ["Gemm", ["f32[2,3]", "f32[3,4]", "f32[5,2,4]"], {}, /expected a third operand|broadcast/],
    ["BatchNormalization", ["f32[2,3]", "f32[2]", "f32[3]", "f32[3]", "f32[3]"], {}, /expected 3 numbers/],
    ["BatchNormalization", ["f32[2,3]"], {}, /input scale is missing/],
    [
      "BatchNormTraining",
      ["f16[2,3,4]", "f16[3]", "f32[3]"],
      {},
      /expected f32\[3\] .* beside f16\[2,3,4\], found f16\[3\]/,
    ],
    ["BatchNormTraining", ["f32[2,3,4]", "f32[3]", "f32[2]"], {}, /expected f32\[3\] .*, found f32\[2\]/],
    ["BatchNormTrainingGrad", ["f16[2,3]", "f32[2,3]", "f32[3]", "f32[3]", "f32[3]"], {}, /one float dtype/],
    ["PRelu", ["f32[2,3]", "f32[2]"], {}, /expected shapes that broadcast/],
    ["PRelu", ["f32[3]", "f32[2,3]"], {}, /expected a slope that broadcasts to float32\[3\]/],
    ["Clip", ["f32[3]", "f32[3]"], {}, /expected bounds float32\[\]/],
    ["Mod", ["f32[3]", "f32[3]"], {}, /floats need fmod 1/],
    ["TopK", ["f32[3]", [4]], {}, /expected at most 3 elements, found 4/],
    ["ConvTranspose", ["f32[1,4,3,3]", "f32[3,2,2,2]"], {}, /x has 4 channels, the filters take 3/],
    ["ConvTranspose", ["f32[1,1,3,3]", "f32[1,1,2,2]"], { output_padding: [1, 0] }, /output padding below/],
    ["LayerNormalization", ["f32[2,3]", "f32[2]"], {}, /expected \[3\]/],
    ["InstanceNormalization", ["f32[2,3]", "f32[3]", "f32[3]"], {}, /with pixels/],
    ["GroupNormalization", ["f32[2,3,4]", "f32[2]", "f32[2]"], { num_groups: 2 }, /a multiple of 2/],
    ["LRN", ["f32[1,3,2,2]"], { size: 2 }, /expected an odd size/],
    ["LpNormalization", ["f32[3]"], { p: 3 }, /expected p 1 or 2/],
    ["Einsum", ["f32[2,3]", "f32[4,2]"], { equation: "ij,jk->ik" }, /expected one size for j, found 3 and 4/],
    ["Einsum", ["f32[2,3]"], { equation: "i->i" }, /does not name the axes of \[2,3\]/],
    ["Einsum", ["f32[2,3]"], { equation: "ij->ik" }, /k stands on the right only/],
    ["Einsum", ["f32[2,3]"], { equation: "ij,jk->ik" }, /2 terms, there are 1 inputs/],
    ["Einsum", ["f32[2,3]"], { equation: "i3->i" }, /more than letters/],
    ["Einsum", ["f32[2,3]"], { equation: "ij->ii" }, /names an axis of the result twice/],
    ["Resize", ["f32[1,1,4,4]"], {}, /expected either scales or sizes/],
    ["DepthToSpace", ["f32[1,6,2,2]"], { blocksize: 2 }, /expected a multiple of 4 channels/],
    ["SpaceToDepth", ["f32[1,1,3,4]"], { blocksize: 2 }, /do not tile 3x4/],
    ["GridSample", ["f32[1,1,3,4]", "f32[1,2,2]"], {}, /expected a grid \[1,P,Q,2\]/],
    ["GridSample", ["f32[1,1,3,4]", "f32[1,2,2,2]"], { mode: "bicubic" }, /found bicubic/],
    ["GatherND", ["f32[3]", "i64[2,2]"], {}, /tuples of 2 indices do not fit/],
    ["ScatterND", ["f32[3]", "i64[2,1]", "f32[3]"], {}, /expected updates float32\[2\]/],
    ["ReverseSequence", ["f32[2,3]", "i64[2]"], {}, /expected int64\[3\] lengths/],
    ["Dropout", ["f32[2]", "f32[]", "bool[]"], {}, /export the model with model\.eval\(\)/],
    ["GlobalMaxPool", ["f32[2,3]"], {}, /with pixels/],
    ["CenterCropPad", ["f32[2,3]", [2]], {}, /expected 2 sizes/],
    ["SoftmaxCrossEntropyLoss", ["f32[2,3]", "i64[3]"], {}, /expected integer targets \[2\]/],
  ];
  for (const [op, inputs, attrs, message] of cases)
    test(`${op} of ${inputs.join(" and ")} ${JSON.stringify(attrs)}`, () => {
      let caught: unknown;
      try {
        resultOf(op, inputs, attrs);
      } catch (error) {
        caught = error;
      }
      expect(caught).toBeInstanceOf(MttcError);
      expect((caught as MttcError).code).toBe("E_SHAPE");
      expect((caught as MttcError).message).toMatch(message);
      expect((caught as MttcError).message).toContain(op);
    });
});
