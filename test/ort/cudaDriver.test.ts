// Asking NVIDIA's driver: what it says, and what is said where it is missing or refuses.
import { expect, test } from "vitest";
import type { DriverFunctions } from "../../runtime/ort/cudaDriver.ts";
import { readCudaDriver } from "../../runtime/ort/cudaDriver.ts";
import { faultsOf } from "../spec/faultsOf.ts";

/** A driver of CUDA 13.0 with two devices, the second of which has the handle 7. */
function driver(
  changes: Partial<DriverFunctions> = {},
): () => { handle: object; functions: DriverFunctions } {
  const names = ["NVIDIA H200", "NVIDIA L4"];
  const numbered = (device: number): number => (device === 7 ? 1 : 0);
  const functions: DriverFunctions = {
    cuInit: () => 0,
    cuDriverGetVersion: (out) => give(out, 13_000),
    cuDeviceGetCount: (out) => give(out, 2),
    cuDeviceGet: (out, ordinal) => give(out, ordinal === 1 ? 7 : 0),
    cuDeviceGetName: (bytes, length, device) => {
      new TextEncoder().encodeInto(names[numbered(device)] ?? "", bytes.subarray(0, length));
      return 0;
    },
    cuDeviceTotalMem_v2: (out, device) => give(out, (numbered(device) + 1) * 2 ** 30),
    cuDeviceGetAttribute: (out, attribute, device) => give(out, attribute === 75 ? 9 - numbered(device) : 0),
    ...changes,
  };
  return () => ({ handle: functions, functions });
}

function give(out: [number], value: number): number {
  out[0] = value;
  return 0;
}

test("version, names, memory and compute capability of every device", () => {
  expect(readCudaDriver(driver())).toEqual({
    cudaVersion: "13.0",
    devices: [
      { name: "NVIDIA H200", memoryBytes: 2 ** 30, capability: "9.0" },
      { name: "NVIDIA L4", memoryBytes: 2 ** 31, capability: "8.0" },
    ],
  });
});

test.each([
  ["no driver", () => () => fail(), "not installed: no such file"],
  ["no device", () => driver({ cuInit: () => 100 }), "error 100"],
  ["a device that is lost", () => driver({ cuDeviceTotalMem_v2: () => 999 }), "error 999"],
])("%s is E_CUDA_DEVICE with what mends it", (_what, make, message) => {
  const [fault] = faultsOf(() => readCudaDriver(make()));
  expect(fault).toMatchObject({ code: "E_CUDA_DEVICE", message: expect.stringContaining(message) });
  expect(fault?.hint).toContain("nvidia-smi");
});

function fail(): never {
  throw new Error("no such file");
}
