// Copies to and from a CUDA device, with a stand-in for CUDA's runtime library: "device" memory is the
// host's, and a copy happens when the stream is waited for, never before, as it may on a device. So a copy
// that is not waited for, or pinned memory that is used again too early, gives wrong numbers here.
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { CudaCopies, type CudaRuntime } from "../../runtime/ort/cudaCopies.ts";
import { viewMemory } from "../../runtime/ort/ffi.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";

const STAGING_BYTES = 64;
let library: OrtLibrary;
let pinned: OrtTensor;
let pending: (() => void)[] = [];
let calls: string[] = [];
beforeAll(() => {
  library = OrtLibrary.open();
  pinned = OrtTensor.allocate(library, "pinned", "uint8", [STAGING_BYTES]);
});
afterAll(() => {
  pinned[Symbol.dispose]();
  library[Symbol.dispose]();
});
beforeEach(() => {
  pending = [];
  calls = [];
});

function addressOf(tensor: OrtTensor): bigint {
  return library.make("address", (out) => library.functions.GetTensorMutableData(tensor.value, out));
}

/** CUDA's runtime library without CUDA; `codes` are the errors of some calls. */
function fakeRuntime(codes: Readonly<Record<string, number>> = {}): CudaRuntime {
  const told = (name: string, act: () => unknown = () => undefined): number => {
    calls.push(name);
    if (codes[name] === undefined) act();
    return codes[name] ?? 0;
  };
  return {
    handle: {},
    functions: {
      cudaSetDevice: (device) => told(`cudaSetDevice ${device}`),
      cudaStreamCreateWithFlags: (out) => told("cudaStreamCreateWithFlags", () => out.fill(1n)),
      cudaStreamSynchronize: () => told("cudaStreamSynchronize", copyPending),
      cudaDeviceSynchronize: () => told("cudaDeviceSynchronize", copyPending),
      cudaStreamDestroy: () => told("cudaStreamDestroy"),
      cudaHostAlloc: (out) => told("cudaHostAlloc", () => out.fill(addressOf(pinned))),
      cudaFreeHost: () => told("cudaFreeHost"),
      cudaMemcpyAsync: (to, from, size) =>
        told("cudaMemcpyAsync", () => {
          pending.push(() => {
            const source = new Uint8Array(viewMemory(from ?? 0n, size));
            new Uint8Array(viewMemory(to ?? 0n, size)).set(source);
          });
        }),
      cudaGetErrorString: (code) => (code === 2 ? "out of memory" : "an error"),
    },
  };
}

function copyPending(): void {
  for (const copy of pending.splice(0)) copy();
}

/** A tensor whose memory plays the device's. */
function onDevice(name: string, count: number): OrtTensor {
  return OrtTensor.allocate(library, name, "uint8", [count]);
}

const numbers = (count: number, first: number) => Uint8Array.from({ length: count }, (_, i) => first + i);

test("what is begun has arrived when it is finished, and not before", () => {
  using copies = new CudaCopies(library, 1, fakeRuntime(), STAGING_BYTES);
  using a = onDevice("a", 10);
  using b = onDevice("b", 20);
  const data = numbers(10, 1);
  copies.begin([
    [a, data],
    [b, numbers(20, 100)],
  ]);
  // The caller may fill its buffer again at once.
  data.fill(0);
  expect(a.read().data).toEqual(new Uint8Array(10));
  copies.finish();
  expect(a.read().data).toEqual(numbers(10, 1));
  expect(b.read().data).toEqual(numbers(20, 100));
  expect(calls.filter((call) => call === "cudaStreamSynchronize")).toHaveLength(1);
  expect(calls[0]).toBe("cudaSetDevice 1");
});

test("tensors larger than the pinned memory go through it in pieces, both ways", () => {
  using copies = new CudaCopies(library, 0, fakeRuntime(), STAGING_BYTES);
  using small = onDevice("small", 40);
  using large = onDevice("large", 200);
  using none = onDevice("none", 0);
  copies.begin([
    [small, numbers(40, 1)],
    [none, new Uint8Array(0)],
    [large, numbers(200, 7)],
  ]);
  copies.finish();
  expect(small.read().data).toEqual(numbers(40, 1));
  expect(large.read().data).toEqual(numbers(200, 7));
  const target = new Uint8Array(200);
  copies.download([[large, target]]);
  expect(target).toEqual(numbers(200, 7));
  copies.download([[none, new Uint8Array(0)]]);
});

test("a read in the middle of an upload gives what is on the device, and the upload arrives", () => {
  using copies = new CudaCopies(library, 0, fakeRuntime(), STAGING_BYTES);
  using a = onDevice("a", 60);
  using b = onDevice("b", 60);
  b.write(numbers(60, 9));
  copies.begin([[a, numbers(60, 1)]]);
  const target = new Uint8Array(60);
  copies.download([[b, target]]);
  copies.finish();
  expect(target).toEqual(numbers(60, 9));
  expect(a.read().data).toEqual(numbers(60, 1));
});

test("settling waits for the device before the copies, and says that it was computing", () => {
  using copies = new CudaCopies(library, 2, fakeRuntime(), STAGING_BYTES);
  using a = onDevice("a", 10);
  copies.begin([[a, numbers(10, 3)]]);
  calls = [];
  copies.settle();
  expect(calls).toEqual(["cudaSetDevice 2", "cudaDeviceSynchronize", "cudaStreamSynchronize"]);
  expect(a.read().data).toEqual(numbers(10, 3));
  using failing = new CudaCopies(library, 2, fakeRuntime({ cudaDeviceSynchronize: 700 }), STAGING_BYTES);
  expect(() => failing.settle()).toThrow("computing on CUDA device 2: CUDA error 700");
});

test("reads of several tensors come in one go", () => {
  using copies = new CudaCopies(library, 0, fakeRuntime(), STAGING_BYTES);
  using a = onDevice("a", 10);
  using b = onDevice("b", 20);
  a.write(numbers(10, 1));
  b.write(numbers(20, 50));
  const [first, second] = [new Uint8Array(10), new Uint8Array(20)];
  calls = [];
  copies.download([
    [a, first],
    [b, second],
  ]);
  expect([first, second]).toEqual([numbers(10, 1), numbers(20, 50)]);
  expect(calls.filter((call) => call === "cudaStreamSynchronize")).toHaveLength(1);
});

test("CUDA's errors are typed, and stream and pinned memory are given back", () => {
  const fault = (codes: Record<string, number>): string => {
    try {
      new CudaCopies(library, 0, fakeRuntime(codes), STAGING_BYTES)[Symbol.dispose]();
    } catch (error) {
      if (error instanceof MttcError) return `${error.code} ${error.message}`;
      throw error;
    }
    return "no error";
  };
  expect(fault({ cudaHostAlloc: 2 })).toContain("E_DEVICE_MEMORY");
  expect(fault({ cudaHostAlloc: 2 })).toContain("CUDA error 2: out of memory");
  expect(fault({ cudaStreamCreateWithFlags: 46 })).toContain("E_CUDA_DEVICE");
  calls = [];
  expect(fault({})).toBe("no error");
  expect(calls).toEqual(expect.arrayContaining(["cudaStreamDestroy", "cudaFreeHost"]));
});
