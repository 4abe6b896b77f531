// What a training step on CUDA moves, counted from its graphs: a budget, so that a change that makes every
// step move more is seen without a device.
import { expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { parseGraph } from "../../compiler/ir/print.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { familyExperiment } from "./experiments.ts";
import { StepTraffic, trafficBytes } from "./stepTraffic.ts";

test("an operator moves what it reads and writes, each tensor once, and a view nothing", () => {
  const graph = parseGraph(
    `graph t
%s: i64[2] = Constant [10 10] ; t
%x: f32[100] = Input ; t
%a: f32[100] = Mul %x, %x ; t
%b: f32[10,10] = Reshape %a, %s ; t
%c: f16[10,10] = Cast %b {to="float16"} ; t
output y = %c
`,
    OPS,
  );
  expect(trafficBytes(graph)).toBe(2 * 400 + 400 + 200);
});

test.each([
  // Of ResNet-50 at batch 64: 57 GB in float16, 105 GB in float32.
  ["fp16", 315],
  ["fp32", 560],
] as const)("a step of a small ResNet in %s stays within %i MB", (precision, megabytes) => {
  const bytesAt = (accumulate: number): number => {
    const keys = { precision: precision as Spec["precision"], batch_size: 16, accumulate };
    const { spec, classes, trunk } = familyExperiment("resnet", keys);
    const traffic = new StepTraffic();
    compile(spec, classes, { target: "cuda", trunk, trace: traffic.trace });
    return traffic.bytes(accumulate);
  };
  const whole = bytesAt(1);
  expect(whole / 1e6).toBeLessThan(megabytes);
  expect(whole / 1e6).toBeGreaterThan(0.9 * megabytes);
  expect(bytesAt(2)).toBeGreaterThan(whole);
});
