// Stream capture of the stand-in for CUDA, by the rules of CUDA's global mode, and what ONNX Runtime's CUDA
// provider does under them. Runs where cudaPlacement.test.ts does.
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CUDA_RUNTIME } from "../../runtime/ort/cudaLibraries.ts";
import { OrtDevice } from "../../runtime/ort/device.ts";
import { type Out, openSymbols, type Pointer } from "../../runtime/ort/ffi.ts";
import { OrtBinding } from "../../runtime/ort/ioBinding.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";
import { addModel } from "../ort/tinyModel.ts";
import { CudaStandIn, providerWithoutDevice } from "./cudaStandIn.ts";
import { LaunchTrace, type TracedCall } from "./launchTrace.ts";

const folder = providerWithoutDevice();
const SUCCESS = 0;
const UNSUPPORTED = 900;
const INVALIDATED = 901;
const IMPLICIT = 906;
const GLOBAL = 0;
const NON_BLOCKING = 1;
const HOST_TO_DEVICE = 1;

const FUNCTIONS = {
  cudaMalloc: ["int", "outPointer", "size"],
  cudaFree: ["int", "pointer"],
  cudaMemcpyAsync: ["int", "pointer", "bytes", "size", "int", "pointer"],
  cudaMemsetAsync: ["int", "pointer", "int", "size", "pointer"],
  cudaStreamCreateWithFlags: ["int", "outPointer", "int"],
  cudaStreamSynchronize: ["int", "pointer"],
  cudaStreamIsCapturing: ["int", "pointer", "outInt"],
  cudaStreamBeginCapture: ["int", "pointer", "int"],
  cudaStreamEndCapture: ["int", "pointer", "outPointer"],
  cudaStreamWaitEvent: ["int", "pointer", "pointer", "int"],
  cudaEventCreate: ["int", "outPointer"],
  cudaEventRecord: ["int", "pointer", "pointer"],
  cudaEventQuery: ["int", "pointer"],
  cudaGraphInstantiate: ["int", "outPointer", "pointer", "size"],
  cudaGraphLaunch: ["int", "pointer", "pointer"],
} as const;

describe.skipIf(folder === undefined)("stream capture without a device", () => {
  let standIn: CudaStandIn;
  let runtime: ReturnType<typeof openSymbols<typeof FUNCTIONS>>;
  let trace: LaunchTrace;
  let cuda: (typeof runtime)["functions"];
  beforeAll(() => {
    standIn = new CudaStandIn(folder ?? "");
    trace = new LaunchTrace(standIn);
    runtime = openSymbols(path.join(standIn.build, CUDA_RUNTIME), FUNCTIONS);
    cuda = runtime.functions;
  });
  afterAll(() => standIn[Symbol.dispose]());
  beforeEach(() => trace.reset());

  const make = (call: (out: Out<Pointer | null>) => number): Pointer => {
    const out: Out<Pointer | null> = [null];
    expect(call(out)).toBe(SUCCESS);
    return out[0] as Pointer;
  };
  const newStream = (flags = NON_BLOCKING) => make((out) => cuda.cudaStreamCreateWithFlags(out, flags));
  const capturing = (stream: Pointer): number => {
    const status: Out<number> = [-1];
    expect(cuda.cudaStreamIsCapturing(stream, status)).toBe(SUCCESS);
    return status[0];
  };
  const shown = (calls: readonly TracedCall[]) =>
    calls.map(({ mode, name, detail }) => `${mode} ${name} ${detail}`.trim());

  test("work is taken down, not done, and replayed by every launch", () => {
    const device = make((out) => cuda.cudaMalloc(out, 4));
    const stream = newStream();
    expect(cuda.cudaStreamBeginCapture(stream, GLOBAL)).toBe(SUCCESS);
    expect(capturing(stream)).toBe(1);
    trace.reset();
    const source = new Uint8Array(4);
    expect(cuda.cudaMemcpyAsync(device, source, 4, HOST_TO_DEVICE, stream)).toBe(SUCCESS);
    expect(cuda.cudaMemsetAsync(device, 0, 4, newStream())).toBe(SUCCESS);
    expect(shown(trace.read())).toEqual([
      "captured cudaMemcpyAsync HostToDevice 4 pageable",
      "run cudaMemsetAsync 4",
    ]);
    const graph = make((out) => cuda.cudaStreamEndCapture(stream, out));
    expect(capturing(stream)).toBe(0);
    const executable = make((out) => cuda.cudaGraphInstantiate(out, graph, 0));
    for (const changed of [0, 1]) {
      trace.reset();
      source.fill(changed);
      expect(cuda.cudaGraphLaunch(executable, stream)).toBe(SUCCESS);
      expect(shown(trace.read())).toEqual([
        expect.stringMatching(`^run cudaGraphLaunch graph \\d+, sources changed ${changed}$`),
        "replayed cudaMemcpyAsync HostToDevice 4 pageable",
      ]);
    }
  });

  test.each([
    ["an allocation", () => cuda.cudaMalloc([null], 4)],
    ["a release", () => cuda.cudaFree(1n as Pointer)],
    ["waiting for any stream", () => cuda.cudaStreamSynchronize(newStream())],
    ["asking for an event", () => cuda.cudaEventQuery(make((out) => cuda.cudaEventCreate(out)))],
  ])("%s is refused while a stream captures, and ends the capture", (_, call) => {
    const stream = newStream();
    expect(cuda.cudaStreamBeginCapture(stream, GLOBAL)).toBe(SUCCESS);
    expect(call()).toBe(UNSUPPORTED);
    expect(capturing(stream)).toBe(2);
    expect(cuda.cudaMemsetAsync(1n as Pointer, 0, 4, stream)).toBe(INVALIDATED);
    const graph: Out<Pointer | null> = [1n as Pointer];
    expect(cuda.cudaStreamEndCapture(stream, graph)).toBe(INVALIDATED);
    expect(graph[0]).toBeNull();
    expect(cuda.cudaFree(make((out) => cuda.cudaMalloc(out, 4)))).toBe(SUCCESS);
  });

  test("the default stream may not be used while a stream captures that waits for it", () => {
    const [apart, blocking] = [newStream(), newStream(0)];
    const fill = () => cuda.cudaMemsetAsync(1n as Pointer, 0, 4, 0n as Pointer);
    for (const [stream, expected] of [[apart, SUCCESS] as const, [blocking, IMPLICIT] as const]) {
      expect(cuda.cudaStreamBeginCapture(stream, GLOBAL)).toBe(SUCCESS);
      expect(fill()).toBe(expected);
      expect(cuda.cudaStreamEndCapture(stream, [null])).toBe(expected === SUCCESS ? SUCCESS : INVALIDATED);
    }
  });

  test("a stream that waits for a captured event is captured, too", () => {
    const [first, second] = [newStream(), newStream()];
    const event = make((out) => cuda.cudaEventCreate(out));
    expect(cuda.cudaStreamBeginCapture(first, GLOBAL)).toBe(SUCCESS);
    expect(cuda.cudaEventRecord(event, first)).toBe(SUCCESS);
    expect(cuda.cudaStreamWaitEvent(second, event, 0)).toBe(SUCCESS);
    expect(capturing(second)).toBe(1);
    make((out) => cuda.cudaStreamEndCapture(first, out));
    expect(capturing(second)).toBe(0);
  });

  test("the provider runs a graph twice, captures and launches it, all in the first run", () => {
    const library = OrtLibrary.open(folder);
    const device = OrtDevice.open(library, { kind: "cuda", device: 0, tf32: false }) as OrtDevice;
    const options = { provider: device.provider, capturable: true };
    const session = OrtSession.open(library, "adder", { bytes: addModel(2) }, options);
    const tensor = (name: string, shape: readonly number[]) =>
      [name, OrtTensor.allocate(library, name, "float32", shape, device)] as const;
    const inputs = new Map([tensor("a", [2, 4]), tensor("b", [4])]);
    const outputs = new Map([tensor("c", [2, 4])]);
    const binding = OrtBinding.create(session, inputs, outputs, true);
    const run = () => {
      trace.reset();
      binding.run();
      return trace
        .read()
        .flatMap(({ kind, mode, name }) => (/kernel|graph/.test(kind) ? `${mode} ${name}` : []));
    };
    const add = expect.stringContaining("OP_Add<float, float, float>");
    const first = run();
    expect(first).toEqual([
      add,
      add,
      "run cudaStreamBeginCapture",
      add,
      "run cudaStreamEndCapture",
      "run cudaGraphInstantiate",
      "run cudaGraphLaunch",
      add,
    ]);
    const modes = first.flatMap((line) => (line.includes("OP_Add") ? line.split(" ")[0] : []));
    expect(modes).toEqual(["run", "run", "captured", "replayed"]);
    expect(run()).toEqual(["run cudaGraphLaunch", add]);
    binding[Symbol.dispose]();
    for (const each of [...inputs.values(), ...outputs.values()]) each[Symbol.dispose]();
    session[Symbol.dispose]();
    device[Symbol.dispose]();
  });
});
