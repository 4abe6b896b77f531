// Several processes that train one model, each on its share of the rows: what compile() makes for them, and
// that together they compute what one process does.
import { describe, expect, test } from "vitest";
import {
  accumulates,
  BUNDLE_VERSION,
  microBatchRows,
  RANKED_VERSION,
} from "../../compiler/bundle/manifest.ts";
import { compile } from "../../compiler/compile.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { parseManifest } from "../../runtime/runs/manifestReading.ts";
import { countedTasks, stepGraph } from "../../runtime/train/microBatch.ts";
import { numberedClasses } from "../training/tracedGraphs.ts";
import { compileExperiment } from "./experiment.ts";

const CLASSES = { a: 3, b: 2 };

describe("what is compiled for several processes", () => {
  const { manifest } = compileExperiment({ batch_size: 8, accumulate: 2 }, CLASSES, undefined, "cpu", {
    ranks: 2,
  }).bundle;

  test("grad takes a process's rows of a micro-batch, evaluate a whole batch; there is no whole step", () => {
    const rowsOf = (graph: string) =>
      manifest.graphs[graph]?.inputs.find(({ role }) => role === "image")?.shape[0];
    expect([rowsOf("grad"), rowsOf("evaluate")]).toEqual([2, 8]);
    expect(Object.keys(manifest.graphs).filter((name) => name.startsWith("train"))).toEqual([]);
    expect([manifest.batchSize, manifest.accumulate, manifest.ranks]).toEqual([8, 2, 2]);
    expect([microBatchRows(manifest), accumulates(manifest)]).toEqual([2, true]);
  });

  test("a step is grad and apply without micro-batches too, and the host counts labels", () => {
    const { manifest: whole } = compileExperiment({}, CLASSES, undefined, "cpu", { ranks: 2 }).bundle;
    expect([stepGraph(whole, "image"), accumulates(whole)]).toEqual(["grad", true]);
    expect([...countedTasks(whole)]).toEqual(["a", "b"]);
    expect(whole.graphs.apply?.purpose).toBe("apply");
  });

  test("its manifest has a version of its own; readers of before refuse it by that", () => {
    const stored = (entry: object) =>
      new TextEncoder().encode(JSON.stringify({ ...manifest, files: {}, ...entry }));
    expect(manifest.version).toBe(RANKED_VERSION);
    expect(parseManifest(stored({}), "m").ranks).toBe(2);
    expect(() => parseManifest(stored({ ranks: undefined }), "m")).toThrow(/ranks/);
    expect(() => parseManifest(stored({ version: RANKED_VERSION + 1 }), "m")).toThrow(/update|version 4/);
    expect(compileExperiment({}, CLASSES).bundle.manifest).toMatchObject({ version: BUNDLE_VERSION });
    expect(compileExperiment({}, CLASSES).bundle.manifest.ranks).toBeUndefined();
  });

  test("graphs of features are cut alike", () => {
    const spec: Partial<SpecInput> = { train_fcn: false, batch_size: 8, shared_layers: [4] };
    const frozen = compileExperiment(spec, CLASSES, undefined, "cpu", { ranks: 4 }).bundle.manifest;
    expect(Object.keys(frozen.graphs).filter((name) => name.startsWith("train"))).toEqual([]);
    const features = frozen.graphs.grad_features?.inputs.find(({ role }) => role === "features");
    expect(features?.shape[0]).toBe(2);
  });

  test.each<[Partial<SpecInput>, number, string]>([
    [{ batch_size: 10 }, 4, "the nearest that can: 8 or 12"],
    [{ batch_size: 3 }, 4, "the nearest that can: 4"],
    [{ batch_size: 12, accumulate: 3 }, 8, "the nearest that can: 24"],
    [{ batch_size: 30, accumulate: 3 }, 4, "the nearest that can: 24 or 36"],
  ])("%j is refused for %i processes, with sizes that go", (more, ranks, hint) => {
    const spec = resolveSpec({ tasks: ["a"], fcn: { layers: [4] }, imshape: [6, 6], ...more });
    const refusal = expect(() => compile(spec, numberedClasses({ a: 2 }), { ranks }));
    refusal.toThrow(MttcError);
    refusal.toThrow(new RegExp(`batch_size: .*cannot be shared equally by ${ranks} processes`));
    try {
      compile(spec, numberedClasses({ a: 2 }), { ranks });
    } catch (error) {
      expect((error as MttcError).faults).toMatchObject([
        { code: "E_CONFIG", at: { path: "batch_size" }, hint },
      ]);
    }
  });
});
