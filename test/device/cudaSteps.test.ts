// Whole training steps on ONNX Runtime's own CUDA provider, without a device: nothing is computed, but all
// that the provider asks of CUDA is traced. Runs where cudaPlacement.test.ts does.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { exampleExperiments, familyExperiment } from "../gpu/experiments.ts";
import { type Experiment, StepRun } from "../gpu/stepRun.ts";
import { CudaStandIn, providerWithoutDevice } from "./cudaStandIn.ts";
import { attributeStep } from "./launchOrigins.ts";
import { countCalls, LaunchTrace, type TracedCall, traceStep } from "./launchTrace.ts";

const folder = providerWithoutDevice();
/** mttc's own copies go through the first stream that is made; each graph has one of its own. */
const COPIES = 1;

describe.skipIf(folder === undefined)("training steps on the CUDA provider, without a device", async () => {
  const example = (await exampleExperiments()).find(({ name }) => name === "two-heads") as Experiment;
  const inPrecision = (precision: "fp32" | "fp16"): Experiment[] => [
    { ...example, name: `two-heads ${precision}`, spec: { ...example.spec, precision } },
    { ...familyExperiment("resnet", { precision }), name: `resnet ${precision}` },
  ];
  let standIn: CudaStandIn;
  let trace: LaunchTrace;
  let host: OrtHost;
  beforeAll(async () => {
    standIn = new CudaStandIn(folder ?? "");
    trace = new LaunchTrace(standIn);
    const provider = { kind: "cuda", device: 0, tf32: false } as const;
    host = await OrtHost.start({ provider, libraryPath: folder });
  });
  afterAll(async () => {
    await host.close();
    standIn[Symbol.dispose]();
  });

  test.each([...inPrecision("fp32"), ...inPrecision("fp16")])(
    "$name: a warm step allocates nothing, and copies only the batch in and figures out",
    async (experiment) => {
      const calls = await traceStep(host, trace, experiment);
      const count = (kind: string) => calls.filter((call) => call.kind === kind).length;
      expect(calls.every(({ mode }) => mode === "run")).toBe(true);
      expect(count("kernel")).toBeGreaterThan(100);
      expect(count("dnn")).toBeGreaterThan(3);
      expect(count("memory")).toBe(0);

      // A task's loss, count and hits, float32.
      const figures = experiment.spec.tasks.flatMap(() => [4, 4, 4]);
      expect(copiedBytes(calls, "DeviceToHost", true)).toEqual(figures);
      expect(copiedBytes(calls, "DeviceToHost", false)).toEqual([]);
      // No lists of addresses: in a CUDA graph each is a hazard, since their memory is given back.
      expect(copiedBytes(calls, "HostToDevice", false)).toEqual([]);
    },
  );

  test("joins of unequal parts, and nothing else, have lists copied to the device in each step", async () => {
    const { nodes } = await attributeStep(host, trace, familyExperiment("densenet"));
    const copying = nodes.filter(({ calls }) => calls.some(({ detail }) => /HostTo|ToHost/.test(detail)));
    expect(copying.length).toBeGreaterThan(10);
    expect(new Set(copying.map(({ operator }) => operator))).toEqual(new Set(["Concat", "Split"]));
  });

  test("a graph takes one block of the device's memory: the pieces of its first run are given back", async () => {
    await using run = await StepRun.open(host, familyExperiment("resnet"));
    const memoryCalls = async (): Promise<readonly string[]> => {
      trace.reset();
      await run.step();
      return trace.read().flatMap(({ kind, name }) => (kind === "memory" ? name : []));
    };
    const first = await memoryCalls();
    const [taken, given] = ["cudaMalloc", "cudaFree"].map((name) => first.filter((n) => n === name).length);
    expect(taken).toBeGreaterThan(50);
    // What is never given back is ONNX Runtime's own, such as a stream's workspace.
    expect(given).toBeGreaterThan((taken ?? 0) - 5);
    expect((await memoryCalls()).length).toBeLessThan(10);
    expect(await memoryCalls()).toEqual([]);
  });

  test("hundreds of steps that copy lists take no more and more pinned memory", async () => {
    await using run = await StepRun.open(host, familyExperiment("densenet"));
    const pinned: number[] = [];
    for (let step = 0; step < 200; step++) {
      trace.reset();
      await run.step();
      if (trace.read().some(({ name }) => name === "cudaMallocHost")) pinned.push(step);
    }
    // Some until ONNX Runtime has waited for the first time; none later.
    expect(pinned.filter((step) => step > 70)).toEqual([]);
  });

  test.each([...inPrecision("fp32"), ...inPrecision("fp16")])(
    "$name: a captured step is one launch, and allocates nothing",
    async (experiment) => {
      const calls = await traceStep(host, trace, experiment, { warmUp: 4, captured: true });
      const work = calls.filter(({ kind }) => !/^(copy|wait)$/.test(kind));
      expect(work.filter(({ mode }) => mode === "run")).toMatchObject([
        { name: "cudaGraphLaunch", detail: expect.stringMatching(/, sources changed 0$/) },
      ]);
      expect(work.slice(1).every(({ mode }) => mode === "replayed")).toBe(true);
      expect(work.length).toBeGreaterThan(100);
      expect(copiedBytes(calls, "DeviceToHost", false)).toEqual([]);
    },
  );

  test("lists that a captured step copies are those of its capture, whatever else was captured", async () => {
    const options = { warmUp: 5, captured: true };
    const calls = await traceStep(host, trace, familyExperiment("densenet"), options);
    expect(copiedBytes(calls, "HostToDevice", false).length).toBeGreaterThan(20);
    expect(calls.filter(({ name }) => name === "cudaGraphLaunch")).toMatchObject([
      { detail: expect.stringMatching(/, sources changed 0$/) },
    ]);
  });

  test("calls are told apart by the node that makes them", async () => {
    const { nodes, strayCalls } = await attributeStep(host, trace, familyExperiment("resnet"));
    expect(strayCalls).toBe(0);
    const callsOf = (wanted: string) =>
      nodes.flatMap(({ operator, calls }) => (operator === wanted ? calls.map(({ name }) => name) : []));
    expect(new Set(callsOf("Conv"))).toEqual(new Set(["cudnnBackendExecute"]));
    expect(new Set(callsOf("Relu"))).toEqual(new Set(["_UnaryElementWise<float, float, OP_Relu<float>>"]));
    expect(callsOf("Reshape")).toEqual([]);
  });

  test("a traced step names kernels and cuDNN's operations", async () => {
    const counted = countCalls(await traceStep(host, trace, familyExperiment("resnet")));
    const names = counted.map(({ name }) => name);
    expect(names).toContain("cudnnBackendExecute ConvolutionForward");
    expect(names).toContain("cudnnBackendExecute ConvolutionBackwardData");
    expect(names).toContain("_UnaryElementWise<float, float, OP_Relu<float>>");
  });
});

/** Sizes of the copies in one direction that mttc itself makes, or that ONNX Runtime makes. */
function copiedBytes(calls: readonly TracedCall[], direction: string, own: boolean): number[] {
  return calls.flatMap(({ kind, stream, detail }) =>
    kind === "copy" && detail.startsWith(direction) && (stream === COPIES) === own
      ? Number(detail.split(" ")[1])
      : [],
  );
}
