// Transpositions move down until they cancel: text in, text out, and the same numbers on the reference.
import { describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import { parseGraph } from "../../compiler/ir/print.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { deadValues } from "../../compiler/passes/deadValues.ts";
import { identities } from "../../compiler/passes/identities.ts";
import { runPasses } from "../../compiler/passes/pass.ts";
import { transposePushing } from "../../compiler/passes/transposePushing.ts";
import { assertClose } from "../assertClose.ts";
import { SUM_FLOAT64 } from "../tolerances.ts";

/**
 * An NHWC image turned to NCHW, convolved there, turned back: what tf2onnx writes around each convolution.
 */
const HEAD = `graph net
%x: f32[2,4,6,3]  = Input ; x
%a: f32[2,3,4,6]  = Transpose %x {perm=[0,3,1,2]} ; a
%w: f32[3,3,1,1]  = Constant [1 2 3 -1 0 2 0.5 1 -2] ; w
%b: f32[2,3,4,6]  = Conv %a, %w ; b
%c: f32[2,4,6,3]  = Transpose %b {perm=[0,2,3,1]} ; c
`;

function parse(lines: string): Graph {
  return parseGraph(`${HEAD}${lines.trim().replace(/^ +/gm, "")}\n`, OPS);
}

/** Operators that are left, in order; the numbers must be the same. */
function pushed(lines: string): string[] {
  const graph = parse(lines);
  const passes = [transposePushing, identities, deadValues];
  const result = runPasses(graph, passes, { ops: OPS, allowOwnOps: false, stage: "test" });
  const data = Float64Array.from({ length: 144 }, (_, i) => Math.sin(i * i));
  const feeds = new Map([["x", { dtype: "float32" as const, shape: [2, 4, 6, 3], data }]]);
  const [before, after] = [interpret(graph, feeds), interpret(result, feeds)];
  for (const [name, expected] of before) {
    expect(after.get(name)?.shape).toEqual(expected.shape);
    assertClose(after.get(name)?.data ?? [], expected.data, { tolerance: SUM_FLOAT64 * 10, what: name });
  }
  return result.nodes.map((node) => node.op.name);
}

describe("transposed and turned back", () => {
  test.each([
    ["nothing between", "%y: f32[2,3,4,6] = Transpose %c {perm=[0,3,1,2]} ; y", ["Transpose", "Conv"]],
    [
      "an activation",
      `%d: f32[2,4,6,3] = Relu %c ; d
       %y: f32[2,3,4,6] = Transpose %d {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Relu"],
    ],
    [
      "a constant by channel",
      `%k: f32[3] = Constant [1 2 3] ; k
       %d: f32[2,4,6,3] = Mul %c, %k ; d
       %y: f32[2,3,4,6] = Transpose %d {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Mul"],
    ],
    [
      "a scalar on the left",
      `%k: f32[] = Constant [2] ; k
       %d: f32[2,4,6,3] = Sub %k, %c ; d
       %y: f32[2,3,4,6] = Transpose %d {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Sub"],
    ],
    [
      "a residual sum",
      `%d: f32[2,4,6,3] = Relu %c ; d
       %e: f32[2,4,6,3] = Add %c, %d ; e
       %y: f32[2,3,4,6] = Transpose %e {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Relu", "Add"],
    ],
    [
      "a concatenation of channels",
      `%d: f32[2,4,6,6] = Concat %c, %c {axis=-1} ; d
       %y: f32[2,6,4,6] = Transpose %d {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Concat"],
    ],
    [
      "a split of channels",
      `%s: i64[2] = Constant [1 2] ; s
       %d: f32[2,4,6,1], %e: f32[2,4,6,2] = Split %c, %s {axis=3} ; d
       %y: f32[2,2,4,6] = Transpose %e {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Split"],
    ],
    [
      "a softmax over channels",
      `%d: f32[2,4,6,3] = Softmax %c {axis=-1} ; d
       %y: f32[2,3,4,6] = Transpose %d {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Softmax"],
    ],
    [
      "zero padding",
      `%p: i64[8] = Constant [0 1 2 0 0 3 0 0] ; p
       %d: f32[2,8,8,3] = Pad %c, %p ; d
       %y: f32[2,3,8,8] = Transpose %d {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Pad"],
    ],
    [
      "a slice of rows",
      `%f: i64[1] = Constant [1] ; f
       %t: i64[1] = Constant [3] ; t
       %x1: i64[1] = Constant [-3] ; x1
       %d: f32[2,2,6,3] = Slice %c, %f, %t, %x1 ; d
       %y: f32[2,3,2,6] = Transpose %d {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "Slice"],
    ],
    [
      "global pooling with kept axes, and a gate",
      `%m: i64[2] = Constant [1 2] ; m
       %d: f32[2,1,1,3] = ReduceMean %c, %m ; d
       %e: f32[2,1,1,3] = Sigmoid %d ; e
       %f: f32[2,4,6,3] = Mul %c, %e ; f
       %y: f32[2,3,4,6] = Transpose %f {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "ReduceMean", "Sigmoid", "Mul"],
    ],
    [
      "global pooling, a dense layer's reshape to [N,1,1,C], and a gate",
      `%m: i64[2] = Constant [1 2] ; m
       %s: i64[4] = Constant [2 1 1 3] ; s
       %d: f32[2,3] = ReduceMean %c, %m {keepdims=0} ; d
       %e: f32[2,1,1,3] = Reshape %d, %s ; e
       %f: f32[2,4,6,3] = Mul %c, %e ; f
       %y: f32[2,3,4,6] = Transpose %f {perm=[0,3,1,2]} ; y`,
      ["Transpose", "Conv", "ReduceMean", "Reshape", "Mul"],
    ],
    [
      "a reshape of pooled maps",
      `%m: i64[2] = Constant [1 2] ; m
       %s: i64[2] = Constant [2 3] ; s
       %d: f32[2,1,1,3] = ReduceMean %c, %m ; d
       %y: f32[2,3] = Reshape %d, %s ; y`,
      ["Transpose", "Conv", "ReduceMean", "Reshape"],
    ],
  ] as const)("with %s: one transposition is left, that of the image", (_, lines, operators) => {
    expect(pushed(`${lines}\noutput y = %y`)).toEqual(operators);
  });
});

describe("what stays", () => {
  test("a reshape that mixes axes keeps the transposition before it", () => {
    const lines = `%s: i64[2] = Constant [2 72] ; s
      %y: f32[2,72] = Reshape %c, %s ; y
      output y = %y`;
    expect(pushed(lines)).toEqual(["Transpose", "Conv", "Transpose", "Reshape"]);
  });

  test("sums of maps in different orders keep theirs", () => {
    const lines = `%d: f32[2,4,6,3] = Add %c, %x ; d
      output y = %d`;
    expect(pushed(lines)).toEqual(["Transpose", "Conv", "Transpose", "Add"]);
  });

  test("sums of two different transpositions keep both", () => {
    const lines = `%s: i64[4] = Constant [2 4 3 6] ; s
      %d: f32[2,4,3,6] = Reshape %x, %s ; d
      %e: f32[2,4,6,3] = Transpose %d {perm=[0,1,3,2]} ; e
      %y: f32[2,4,6,3] = Add %c, %e ; y
      output y = %y`;
    expect(pushed(lines).filter((name) => name === "Transpose")).toHaveLength(3);
  });

  test("a graph without transpositions is the same object", () => {
    const graph = parseGraph(
      "graph g\n%x: f32[2] = Input  ; x\n%y: f32[2] = Relu %x  ; y\noutput y = %y\n",
      OPS,
    );
    expect(transposePushing.run(graph, OPS)).toBe(graph);
  });
});
