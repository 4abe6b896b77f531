// Running passes: a bad result is caught at once and names the pass, the rounds end, every change is traced.
// And what all passes of the compiler owe: the float64 reference gives the same numbers before and after
// each.
import { describe, expect, test } from "vitest";
import { AUGMENT_INPUT, imageSize } from "../../compiler/augment/augmentGraph.ts";
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { type Graph, isFloat } from "../../compiler/ir/types.ts";
import { SIMPLIFY } from "../../compiler/lower/finishGraph.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { deadValues } from "../../compiler/passes/deadValues.ts";
import { identities } from "../../compiler/passes/identities.ts";
import { type Pass, runPasses } from "../../compiler/passes/pass.ts";
import { augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { epochDraws } from "../../runtime/augment/warpBatch.ts";
import { compileGoldenCase, GOLDEN_CASES } from "../golden/goldenCases.ts";
import { randomFeeds } from "../step/randomFeeds.ts";
import { relativeDistance } from "../step/tensors.ts";
import { PASS_FLOAT64 } from "../tolerances.ts";
import { graphOf } from "./passText.ts";

const OPTIONS = { ops: OPS, allowOwnOps: true, stage: "t" };
const GRAPH = graphOf("%x: f32[2] = Input\n%a: f32[2] = Identity %x\n%y: f32[2] = Neg %a\noutput y = %y");

describe("the runner of passes", () => {
  test("catches a pass that returns a bad graph, and names it, those before it and the bad value", () => {
    const breaking: Pass = { name: "breaking", run: (graph) => ({ ...graph, nodes: graph.nodes.slice(1) }) };
    const run = () => runPasses(GRAPH, [identities, breaking], OPTIONS);
    expect(run).toThrow(InternalError);
    expect(run).toThrow("graph o, after identities, breaking: output y is y, which nothing defines");
  });

  test("passes whose results are sound run until none changes anything", () => {
    const traced: string[] = [];
    const graph = runPasses(GRAPH, [deadValues, identities], {
      ...OPTIONS,
      trace: (stage) => traced.push(stage),
    });
    expect(graph.nodes.length).toBe(1);
    expect(traced).toEqual(["t-1-identities"]);
  });

  test("a graph on which nothing changes is returned as it is, and not traced", () => {
    const traced: string[] = [];
    const trace = (stage: string) => traced.push(stage);
    expect(runPasses(GRAPH, [deadValues], { ...OPTIONS, trace })).toBe(GRAPH);
    expect(traced).toEqual([]);
  });

  test("a pass that never rests is stopped", () => {
    let runs = 0;
    const restless: Pass = {
      name: "restless",
      run: (graph) => {
        runs += 1;
        return { ...graph };
      },
    };
    runPasses(GRAPH, [restless], OPTIONS);
    expect(runs).toBe(8);
  });
});

/** Rows of augmentation as they are drawn: a box that no draw gives may have no pixels at all. */
function withDrawnRows(feeds: Map<string, NDArray>, manifest: Manifest, isWhole: boolean): typeof feeds {
  const rows = feeds.get(AUGMENT_INPUT);
  const settings = augmentSettings(manifest.spec.augment);
  if (!rows || !settings) return feeds;
  const all = { settings, size: imageSize(manifest.spec), seed: 0, epoch: 1 };
  const draws = isWhole ? all : (epochDraws(manifest, "graph", 1) ?? all);
  const data = Float64Array.from(drawAugmentRows(draws, 0, rows.shape[0] ?? 0));
  expect(data).toHaveLength(rows.data.length);
  return feeds.set(AUGMENT_INPUT, { ...rows, data });
}

describe.each(GOLDEN_CASES)("on the graphs of the golden case %s", (name) => {
  const { stages, bundle } = compileGoldenCase(name);
  const built = [...stages].filter(([stage]) => /1-built|3-lowered/.test(stage));

  test.each(built)("every pass keeps what %s computes", (stage, graph) => {
    const feeds = withDrawnRows(randomFeeds(graph, name), bundle.manifest, stage.startsWith("augment/"));
    const before = interpret(graph, feeds);
    for (const pass of SIMPLIFY) expectSameNumbers(pass.run(graph, OPS));
    expectSameNumbers(runPasses(graph, SIMPLIFY, OPTIONS));

    function expectSameNumbers(next: Graph): void {
      const after = interpret(next, feeds);
      expect([...after.keys()]).toEqual([...before.keys()]);
      for (const [output, { dtype, data }] of before) {
        const distance = relativeDistance(after.get(output)?.data, data);
        expect(distance, output).toBeLessThanOrEqual(isFloat(dtype) ? PASS_FLOAT64 : 0);
      }
    }
  });
});
