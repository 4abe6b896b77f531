// ONNX Runtime's own CUDA provider has a kernel for every node of every graph, in fp32 and in fp16: it is
// asked, without a device, with libraries in CUDA's place that compute nothing. Runs where `mttc setup-cuda`
// has brought the provider and a C compiler is there; CI has the table of kernels (test/lower) instead.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { compile } from "../../compiler/compile.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { PROVIDER_NAMES } from "../../runtime/ort/provider.ts";
import { placeGraphs } from "../../runtime/train/placements.ts";
import { FAMILIES, importFamily, readFixture } from "../families/familyFixture.ts";
import { buildFamilyGraph } from "../families/familyGraph.ts";
import { classesOf, GOLDEN_CASES, goldenSpecText } from "../golden/goldenCases.ts";
import { rejection } from "../ort/rejection.ts";
import { addModel } from "../ort/tinyModel.ts";
import { CudaStandIn, providerWithoutDevice } from "./cudaStandIn.ts";

const folder = providerWithoutDevice();
const specs = [
  ...GOLDEN_CASES.map((name) => [name, goldenSpecText(name)] as const),
  ["two-heads", readFileSync("examples/two-heads/spec.yml", "utf8")] as const,
];

describe.skipIf(folder === undefined)("the CUDA provider, without a device", () => {
  let standIn: CudaStandIn;
  let host: OrtHost;
  beforeAll(async () => {
    standIn = new CudaStandIn(folder ?? "");
    const provider = { kind: "cuda", device: 0, tf32: false } as const;
    host = await OrtHost.start({ provider, libraryPath: folder });
  });
  afterAll(async () => {
    await host.close();
    standIn[Symbol.dispose]();
  });

  describe.each(specs)("%s", (name, text) => {
    test.each(["fp32", "fp16"] as const)("%s: no node is left to the CPU", async (precision) => {
      const spec = { ...parseSpec(text, name), precision };
      const bundle = compile(spec, classesOf(spec), { target: "cuda" });
      const placed = await placeGraphs(host, bundle, Object.keys(bundle.manifest.graphs));
      expect(placed.length).toBeGreaterThan(3);
      for (const { graph, nodes, fallen } of placed) {
        expect(fallen, graph).toEqual([]);
        expect(nodes.length, graph).toBeGreaterThan(0);
        expect(nodes.every(({ provider }) => provider === PROVIDER_NAMES.cuda)).toBe(true);
      }
    });
  });

  test.each(FAMILIES)("the gradients of a network, %s: no node is left to the CPU", async (family) => {
    const fixture = readFixture(family);
    const { graph } = buildFamilyGraph(fixture, importFamily(fixture), "frozen");
    const bytes = encodeGraph(finishGraph(graph, { target: "cuda" }));
    await host.openGraph(family, { bytes }, { recordPlacement: true });
    const placements = await host.placements(family);
    await host.closeGraph(family);
    expect(placements.length).toBeGreaterThan(20);
    expect(placements.filter(({ provider }) => provider !== PROVIDER_NAMES.cuda)).toEqual([]);
  });

  test("tensors go to the provider's memory and come back, in pieces and staged", async () => {
    const place = "device" as const;
    await host.openGraph("adder", { bytes: addModel(2) });
    await host.allocate([
      { id: "a", dtype: "float32", shape: [2, 4], place },
      { id: "b", dtype: "float32", shape: [4], place },
      { id: "c", dtype: "float32", shape: [2, 4] },
      { id: "large", dtype: "uint8", shape: [40 * 2 ** 20], place },
    ]);
    const values = Float32Array.from({ length: 8 }, (_, i) => i);
    await host.write({ a: values });
    expect((await host.read(["a"])).get("a")?.data).toEqual(values);
    await host.bind("adder", "adder", { inputs: { a: "a", b: "b" }, outputs: { c: "c" } });
    const large = Uint8Array.from({ length: 40 * 2 ** 20 }, (_, i) => i % 251);
    await host.step("adder", { staged: { large: large.slice() } });
    expect(Buffer.compare((await host.read(["large"])).get("large")?.data as Uint8Array, large)).toBe(0);
    await host.allocate([{ id: "onHost", dtype: "float32", shape: [4] }]);
    const io = { inputs: { a: "a", b: "onHost" }, outputs: { c: "c" } };
    expect((await rejection(host.bind("refused", "adder", io))).code).toBe("E_ORT_BINDING");
  });

  test("a device that is not there is E_CUDA_DEVICE", async () => {
    const provider = { kind: "cuda", device: 3, tf32: false } as const;
    const error = await rejection(OrtHost.start({ provider, libraryPath: folder }));
    expect(error.code).toBe("E_CUDA_DEVICE");
    expect(error.message).toContain("Invalid device ID: 3");
  });
});
