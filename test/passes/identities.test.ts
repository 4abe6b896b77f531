// Every identity where it holds, and beside it the cases in which it must not fire.
import { describe, expect, test } from "vitest";
import { OPS } from "../../compiler/ops/table.ts";
import { deadValues } from "../../compiler/passes/deadValues.ts";
import { identities } from "../../compiler/passes/identities.ts";
import { runPasses } from "../../compiler/passes/pass.ts";
import { graphOf, runPass, textOf, trimmed } from "./passText.ts";

/** Input x, the given constants and nodes, and the output y. */
interface Case {
  readonly x?: string;
  readonly lines: string;
  /** Which value is the output afterwards; undefined where nothing may change. */
  readonly becomes?: string;
}

const X = "%x: f32[2,3] = Input";

const CASES: Readonly<Record<string, Case>> = {
  "Identity is its input": { lines: "%y: f32[2,3] = Identity %x", becomes: "%x" },
  "Cast to the same dtype is its input": { lines: '%y: f32[2,3] = Cast %x {to="float32"}', becomes: "%x" },
  "Cast to another dtype stays": { lines: '%y: f64[2,3] = Cast %x {to="float64"}' },
  "Expand to the same shape is its input": {
    lines: "%s: i64[2] = Constant [2 3]\n%y: f32[2,3] = Expand %x, %s",
    becomes: "%x",
  },
  "Expand that repeats stays": {
    lines: "%s: i64[3] = Constant [4 1 1]\n%y: f32[4,2,3] = Expand %x, %s",
  },
  "Slice of everything is its input": {
    lines: "%s: i64[1] = Constant [0]\n%e: i64[1] = Constant [9]\n%y: f32[2,3] = Slice %x, %s, %e, %s",
    becomes: "%x",
  },
  "Slice of a part stays": {
    lines: "%s: i64[1] = Constant [0]\n%e: i64[1] = Constant [1]\n%y: f32[1,3] = Slice %x, %s, %e, %s",
  },
  "Slice that reverses stays, though its type is that of its input": {
    lines:
      "%s: i64[1] = Constant [-1]\n%e: i64[1] = Constant [-9]\n%a: i64[1] = Constant [1]\n" +
      "%y: f32[2,3] = Slice %x, %s, %e, %a, %s",
  },
  "Pad by nothing is its input": {
    lines: "%p: i64[4] = Constant [0 0 0 0]\n%y: f32[2,3] = Pad %x, %p",
    becomes: "%x",
  },
  "Pad stays": { lines: "%p: i64[4] = Constant [0 1 0 0]\n%y: f32[2,4] = Pad %x, %p" },
  "Reshape to the same shape is its input": {
    lines: "%s: i64[2] = Constant [2 -1]\n%y: f32[2,3] = Reshape %x, %s",
    becomes: "%x",
  },
  "Reshape to another shape stays": { lines: "%s: i64[1] = Constant [6]\n%y: f32[6] = Reshape %x, %s" },
  "Transpose in the order that is there is its input": {
    lines: "%y: f32[2,3] = Transpose %x {perm=[0,1]}",
    becomes: "%x",
  },
  "Transpose that keeps the type but moves elements stays": {
    x: "%x: f32[3,3] = Input",
    lines: "%y: f32[3,3] = Transpose %x {perm=[1,0]}",
  },
  "Transpose without perm, which reverses, stays": { lines: "%y: f32[3,2] = Transpose %x" },
  "two Transposes that undo each other are the input": {
    lines: "%t: f32[3,2] = Transpose %x {perm=[1,0]}\n%y: f32[2,3] = Transpose %t {perm=[1,0]}",
    becomes: "%x",
  },
  "two Negs are the input": { lines: "%n: f32[2,3] = Neg %x\n%y: f32[2,3] = Neg %n", becomes: "%x" },
  "a Neg of another operator stays": { lines: "%n: f32[2,3] = Relu %x\n%y: f32[2,3] = Neg %n" },
  "x + 0 is x": { lines: "%z: f32[] = Constant [0]\n%y: f32[2,3] = Add %x, %z", becomes: "%x" },
  "0 + x is x": { lines: "%z: f32[2,3] = Constant [0 0 0 0 0 0]\n%y: f32[2,3] = Add %z, %x", becomes: "%x" },
  "x + (0, 0, 1) stays": { lines: "%z: f32[3] = Constant [0 0 1]\n%y: f32[2,3] = Add %x, %z" },
  "x + 0 stays where the zeros broadcast x": {
    lines: "%z: f32[2,1,1] = Constant [0 0]\n%y: f32[2,2,3] = Add %x, %z",
  },
  "x - 0 is x": { lines: "%z: f32[] = Constant [0]\n%y: f32[2,3] = Sub %x, %z", becomes: "%x" },
  "0 - x stays": { lines: "%z: f32[] = Constant [0]\n%y: f32[2,3] = Sub %z, %x" },
  "x * 1 is x": { lines: "%o: f32[] = Constant [1]\n%y: f32[2,3] = Mul %x, %o", becomes: "%x" },
  "1 * x is x": { lines: "%o: f32[1,1] = Constant [1]\n%y: f32[2,3] = Mul %o, %x", becomes: "%x" },
  "x * 0 stays, for x may be infinite": { lines: "%z: f32[] = Constant [0]\n%y: f32[2,3] = Mul %x, %z" },
  "x * 1 stays where the ones broadcast x": {
    lines: "%o: f32[4,1,1] = Constant [1 1 1 1]\n%y: f32[4,2,3] = Mul %x, %o",
  },
  "x / 1 is x": { lines: "%o: f32[] = Constant [1]\n%y: f32[2,3] = Div %x, %o", becomes: "%x" },
  "1 / x stays": { lines: "%o: f32[] = Constant [1]\n%y: f32[2,3] = Div %o, %x" },
  "x + x stays": { lines: "%y: f32[2,3] = Add %x, %x" },
};

describe("identities", () => {
  test.each(Object.entries(CASES))("%s", (_, { x = X, lines, becomes }) => {
    const text = `${x}\n${lines}\noutput y = %y`;
    const options = { ops: OPS, allowOwnOps: true, stage: "test" };
    const actual = textOf(runPasses(graphOf(text), [identities, deadValues], options));
    const expected = becomes ? `${x}\noutput y = ${becomes}` : trimmed(text);
    expect(actual).toBe(expected);
  });

  test("two Transposes become one", () => {
    const before = `
      %x: f32[2,3,4] = Input
      %t: f32[3,2,4] = Transpose %x {perm=[1,0,2]}
      %y: f32[4,3,2] = Transpose %t {perm=[2,0,1]}
      output y = %y`;
    expect(runPass(identities, before)).toBe(
      trimmed(`
      %x: f32[2,3,4] = Input
      %t: f32[3,2,4] = Transpose %x {perm=[1,0,2]}
      %o/Transpose: f32[4,3,2] = Transpose %x {perm=[2,1,0]}
      output y = %o/Transpose`),
    );
  });

  test("two Reshapes become one, whatever -1 stands for", () => {
    const before = `
      %x: f32[2,3,4] = Input
      %s: i64[2] = Constant [6 4]
      %t: i64[2] = Constant [-1 2]
      %r: f32[6,4] = Reshape %x, %s
      %y: f32[12,2] = Reshape %r, %t
      output y = %y`;
    expect(runPass(identities, before)).toContain("%o/Reshape: f32[12,2] = Reshape %x, %t");
  });

  test("a Reshape whose 0 copies a dimension of the one before it stays", () => {
    const before = trimmed(`
      %x: f32[2,3,4] = Input
      %s: i64[2] = Constant [6 4]
      %t: i64[3] = Constant [0 2 2]
      %r: f32[6,4] = Reshape %x, %s
      %y: f32[6,2,2] = Reshape %r, %t
      output y = %y`);
    expect(runPass(identities, before)).toBe(before);
  });

  test("a graph on which nothing holds is returned as it is", () => {
    const graph = graphOf("%x: f32[2] = Input\n%y: f32[2] = Neg %x\noutput y = %y");
    expect(identities.run(graph, OPS)).toBe(graph);
  });
});
