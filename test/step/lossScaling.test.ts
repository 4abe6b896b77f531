// The overflow test of scaled gradients alone: one number that is not finite, in whichever of many tensors,
// is seen.
import { expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { emitAllFinite } from "../../compiler/step/lossScaling.ts";

/** More tensors than are joined at a time, of every rank that gradients have. */
const COUNT = 70;
const SHAPES = [[], [3], [2, 3], [2, 2, 1, 3]] as const;

function passesTest(change: (feeds: Map<string, NDArray>) => void): boolean {
  const b = new GraphBuilder("finite", OPS);
  const feeds = new Map<string, NDArray>();
  const values = Array.from({ length: COUNT }, (_, i) => {
    const shape = SHAPES[i % SHAPES.length] ?? [];
    const count = shape.reduce((product: number, dim) => product * dim, 1);
    feeds.set(`g${i}`, { dtype: "float32", shape: [...shape], data: new Float64Array(count).fill(-i) });
    return b.input(`g${i}`, "float32", [...shape]);
  });
  b.output("finite", emitAllFinite(b, values));
  change(feeds);
  return interpret(b.build(), feeds).get("finite")?.data[0] === 1;
}

test("finite numbers of any sign are finite", () => {
  expect(passesTest(() => {})).toBe(true);
});

test.each([
  ["infinity", Number.POSITIVE_INFINITY],
  ["minus infinity", Number.NEGATIVE_INFINITY],
  ["not a number", Number.NaN],
])("%s is seen in every tensor", (_what, bad) => {
  for (let i = 0; i < COUNT; i++)
    expect(
      passesTest((feeds) => feeds.get(`g${i}`)?.data.fill(bad, 0, 1)),
      `tensor ${i}`,
    ).toBe(false);
});

test("infinities of both signs do not cancel", () => {
  const opposite = (feeds: Map<string, NDArray>): void => {
    feeds.get("g1")?.data.set([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  };
  expect(passesTest(opposite)).toBe(false);
});
