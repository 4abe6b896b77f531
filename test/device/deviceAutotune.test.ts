// Forms of convolutions measured on a device whose memory is not the host's: their tensors lie there, and
// every form is timed. WebGPU on SwiftShader stands in for CUDA.
import { beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { formCandidates } from "../../compiler/lower/candidates.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { chooseForms } from "../../runtime/train/autotune.ts";
import { numberedClasses } from "../training/tracedGraphs.ts";
import { HAS_STAND_IN, standInLibrary, useSwiftShader } from "./swiftShader.ts";

const SPEC = resolveSpec({
  tasks: ["a"],
  fcn: { layers: [2, 3] },
  train_fcn: true,
  task_layers: [],
  imshape: [4, 4],
  batch_size: 2,
});

describe.runIf(HAS_STAND_IN)("autotuning on WebGPU, in software", () => {
  beforeAll(() => {
    useSwiftShader();
  });

  test("every shape is measured on tensors of the device", { timeout: 60_000 }, async () => {
    const ready: Graph[] = [];
    compile(SPEC, numberedClasses({ a: 3 }), { target: "cuda", ready: (graph) => ready.push(graph) });
    const candidates = formCandidates(ready, "cuda", OPS);
    const lines: string[] = [];
    await using host = await OrtHost.start({
      provider: { kind: "webgpu" },
      libraryPath: standInLibrary(),
      intraOpThreads: 1,
    });
    const note = (line: string) => void lines.push(line);
    await chooseForms(candidates, { host, target: "cuda", device: "stand-in", note });
    expect(candidates.length).toBeGreaterThan(2);
    expect(lines).toEqual([expect.stringMatching(`, ${candidates.length} measured in`)]);
  });
});
