// Every node that a compilation for CUDA writes has a CUDA kernel in ONNX Runtime, by the table of kernels:
// for the examples, the golden cases, every operation of augmentation and every family of imported
// networks. And nodes without a kernel are found.
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { buildAugmentGraph, imageSize } from "../../compiler/augment/augmentGraph.ts";
import type { Target } from "../../compiler/bundle/manifest.ts";
import { compile } from "../../compiler/compile.ts";
import { formatFault } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import type { Op } from "../../compiler/ir/op.ts";
import type { OpName } from "../../compiler/ir/opNames.ts";
import type { Attrs, Graph, TensorType } from "../../compiler/ir/types.ts";
import { cudaKernelFaults, kernelEntry } from "../../compiler/lower/cudaKernels.ts";
import { KERNEL_TABLE, WITHOUT_KERNEL } from "../../compiler/lower/cudaKernelTable.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { AUGMENT_NAMES, augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { parseSpec, resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import { FAMILIES, importFamily, readFixture } from "../families/familyFixture.ts";
import { buildFamilyGraph } from "../families/familyGraph.ts";
import { classesOf } from "../golden/goldenCases.ts";
import { SPECS } from "./compiledSpecs.ts";

/** The smallest experiment that is one. */
const TINY = { tasks: ["task"], fcn: { layers: [4] } };

/** Nodes of a finished graph that would be left to the CPU. */
function onCpu(graph: Graph): string[] {
  return cudaKernelFaults(graph).map(formatFault);
}

/** What a compilation for CUDA says of kernels. */
async function faultsOf(spec: Spec, path: string): Promise<string[]> {
  const faults: string[] = [];
  const models = await readForeignModels(spec, dirname(path), classesOf(spec));
  const warn = (fault: Parameters<typeof formatFault>[0]) => faults.push(formatFault(fault));
  compile(spec, classesOf(spec), { ...models, target: "cuda", warn });
  return faults;
}

describe("every node has a CUDA kernel", () => {
  test("there are specs to compile", () => expect(SPECS.length).toBeGreaterThan(5));

  test.each(SPECS)("of %s", async (path) => {
    const spec = parseSpec(readFileSync(path, "utf8"), path);
    expect(await faultsOf(spec, path)).toEqual([]);
    expect(await faultsOf({ ...spec, precision: "fp16" }, path)).toEqual([]);
  });

  test("of every operation of augmentation", () => {
    for (const name of AUGMENT_NAMES) {
      const spec = resolveSpec({ ...TINY, imshape: [32, 32], augment: { [name]: true } });
      const graph = buildAugmentGraph(OPS, augmentSettings(spec.augment)!, imageSize(spec));
      expect(onCpu(finishGraph(graph, { target: "cuda" })), name).toEqual([]);
    }
  });

  describe.each(FAMILIES)("of %s and its gradients", (family) => {
    const fixture = readFixture(family);
    test.each(["frozen", "training"] as const)("with norms %s", (form) => {
      const { graph } = buildFamilyGraph(fixture, importFamily(fixture), form);
      expect(onCpu(finishGraph(graph, { target: "cuda" }))).toEqual([]);
    });
  });
});

describe("a node without kernel is found:", () => {
  const image: TensorType = { dtype: "float32", shape: [1, 2, 5, 5] };
  const filters: TensorType = { dtype: "float32", shape: [2, 2, 3, 3] };
  const labels: TensorType = { dtype: "int64", shape: [4, 3] };

  test.each<[string, Op["name"], readonly TensorType[], Attrs, RegExp]>([
    ["an operator that has none", "Tan", [image], {}, /Tan: ONNX Runtime has none at opset 18/],
    [
      "unequal pads",
      "ConvTranspose",
      [image, filters],
      { pads: [1, 1, 0, 0] },
      /\[1,1,0,0\] are not symmetric/,
    ],
    [
      "a reduction of int64",
      "ReduceProd",
      [labels],
      {},
      /none takes int64 \(float64, float32, float16, int32\)/,
    ],
    ["int64 into Pad", "Pad", [labels, { dtype: "int64", shape: [4] }], {}, /none takes int64/],
    ["ArgMax of integers", "ArgMax", [labels], {}, /none takes int64/],
    ["the last of equal maxima", "ArgMax", [image], { select_last_index: 1 }, /select_last_index/],
    ["a shape", "Shape", [image], {}, /on the host/],
    ["a mean", "AveragePool", [image], { kernel_shape: [2, 2], pads: [0, 0, 1, 1] }, /not symmetric/],
    [
      ...(["a dilated maximum", "MaxPool", [image]] as const),
      { kernel_shape: [2, 2], pads: [1, 1, 1, 1], dilations: [2, 2] },
      /dilation together with pads/,
    ],
  ])("%s", (_, name, types, attrs, message) => {
    const b = new GraphBuilder("planted", OPS);
    const inputs = types.map((type, i) =>
      i > 0 && type.dtype === "int64"
        ? b.constant({ dtype: "int64", shape: [4], data: new Float64Array(4) })
        : b.input(`x${i}`, type.dtype, type.shape),
    );
    b.output(
      "y",
      b.within("tasks.a", () => b.emit(name, inputs, attrs)),
    );
    const faults = cudaKernelFaults(b.build());
    expect(faults.map(formatFault)).toEqual([expect.stringMatching(message)]);
    expect(faults[0]).toMatchObject({
      code: "E_CUDA_KERNEL",
      at: { node: `tasks.a/${name}`, origin: "tasks.a" },
    });
  });

  test("an operator that nobody knows", () => {
    const name = "Bernoulli" as OpName;
    const b = new GraphBuilder("planted", new Map([[name, { ...OPS.get("Relu")!, name }]]));
    b.output("y", b.emit(name, [b.input("x", "float32", [2])]));
    expect(cudaKernelFaults(b.build())).toHaveLength(1);
  });

  test("a norm in training form, and a bound that is computed", () => {
    const b = new GraphBuilder("planted", OPS);
    const x = b.input("x", "float32", [2, 3, 4, 4]);
    const channels = ["scale", "bias", "mean", "variance"].map((name) => b.input(name, "float32", [3]));
    const [y] = b.emitAll("BatchNormalization", [x, ...channels], { training_mode: 1 }, 3);
    const low = b.reduceSum(channels[0]!, [0], 0);
    b.output("y", b.emit("Clip", [y, low]));
    expect(onCpu(b.build())).toEqual([
      expect.stringMatching("BatchNormalization: in training form"),
      expect.stringMatching("Clip: its input min is computed"),
    ]);
  });

  test("in a user's network: the compilation for CUDA warns of it, with its origin, and goes on", () => {
    const b = new GraphBuilder("trunk", OPS);
    const image = b.input("image", "float32", ["N", 3, 8, 8]);
    const filters = b.constant({ dtype: "float32", shape: [4, 3, 3, 3], data: new Float32Array(108) }, "w");
    b.output(
      "features",
      b.within("middle", () => b.emit("Tan", [b.emit("Conv", [image, filters])])),
    );
    const spec = resolveSpec({ ...TINY, fcn: { path: "trunk.onnx" }, imshape: [8, 8] });
    const trunk = { graph: b.build(), layout: "NCHW", notes: [], hash: "" } as const;
    const warned = (target: Target): string[] => {
      const faults: string[] = [];
      compile(spec, classesOf(spec), { target, trunk, warn: (fault) => faults.push(formatFault(fault)) });
      return faults;
    };
    expect(warned("cpu")).toEqual([]);
    expect(warned("cuda").length).toBeGreaterThan(0);
    for (const text of warned("cuda")) expect(text).toMatch(/fcn\/.*no CUDA kernel for Tan.*E_CUDA_KERNEL/s);
  });
});

describe("the table of kernels", () => {
  test("knows every operator that mttc may write, at the since-version that it is defined by", () => {
    for (const { name, domain, source } of OPS.values()) {
      if (["mttc", "com.mttc", "com.microsoft.nchwc"].includes(domain)) continue;
      const since = kernelEntry(name)?.since ?? WITHOUT_KERNEL[name];
      expect(source, name).toMatch(new RegExp(`${name}-${since}( |$)`));
    }
  });

  test("names as many parameters as operators have inputs and outputs, and types for those it names", () => {
    for (const name of Object.keys(KERNEL_TABLE)) {
      const { inputs, outputs, types } = kernelEntry(name)!;
      expect(outputs.length, name).toBeGreaterThan(0);
      for (const parameter of [...inputs, ...outputs])
        if (parameter !== "-") expect(types.get(parameter.replace("*", "")), name).toBeDefined();
      const op = OPS.get(name);
      const isVariadic = inputs.at(-1)?.endsWith("*");
      if (op && !isVariadic) expect(inputs.length, name).toBeGreaterThanOrEqual(op.inputs.length);
    }
  });
});
