// What NVIDIA's driver says of itself and of its devices, through libcuda alone: no CUDA toolkit and no ONNX
// Runtime are needed to ask. For `mttc doctor`.
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { CUDA_DRIVER } from "./cudaLibraries.ts";
import { type Out, openSymbols, type SymbolFunctions, type SymbolRow } from "./ffi.ts";

const NAME_BYTES = 256;
/** CUdevice_attribute: COMPUTE_CAPABILITY_MAJOR and _MINOR (CUDA Driver API). */
const CAPABILITY = { major: 75, minor: 76 } as const;

const DRIVER_FUNCTIONS = {
  cuInit: ["int", "int"],
  cuDriverGetVersion: ["int", "outInt"],
  cuDeviceGetCount: ["int", "outInt"],
  cuDeviceGet: ["int", "outInt", "int"],
  cuDeviceGetName: ["int", "bytes", "int", "int"],
  cuDeviceTotalMem_v2: ["int", "outSize", "int"],
  cuDeviceGetAttribute: ["int", "outInt", "int", "int"],
} as const satisfies Record<string, SymbolRow>;

/** The functions of the driver that are asked. */
export type DriverFunctions = SymbolFunctions<typeof DRIVER_FUNCTIONS>;

export interface CudaDevice {
  readonly name: string;
  readonly memoryBytes: number;
  /** Compute capability, such as "9.0". */
  readonly capability: string;
}

export interface CudaDriver {
  /** Newest CUDA that the driver runs, such as "13.0". */
  readonly cudaVersion: string;
  /** In the order of their numbers; those that CUDA_VISIBLE_DEVICES hides are not among them. */
  readonly devices: readonly CudaDevice[];
}

/** Opens the driver's library; throws the loader's own error where it is not installed. */
export function openCudaDriver(): { readonly handle: object; readonly functions: DriverFunctions } {
  return openSymbols(CUDA_DRIVER, DRIVER_FUNCTIONS);
}

const IDENTITY_FUNCTIONS = {
  cuInit: ["int", "int"],
  cuDeviceGetCount: ["int", "outInt"],
  cuDeviceGet: ["int", "outInt", "int"],
  cuDeviceGetUuid_v2: ["int", "bytes", "int"],
} as const satisfies Record<string, SymbolRow>;
const UUID_BYTES = 16;

/**
 * UUIDs of the devices that this process sees, by their numbers, of a slice of one (MIG) its own; none where
 * there is no driver, or it does not answer: opening a device says why.
 */
export function visibleDevices(open = () => openSymbols(CUDA_DRIVER, IDENTITY_FUNCTIONS)): readonly string[] {
  try {
    const { functions } = open();
    check("starting it", functions.cuInit(0));
    const count = number("the number of devices", functions.cuDeviceGetCount);
    return Array.from({ length: count }, (_, ordinal) => {
      const uuid = new Uint8Array(UUID_BYTES);
      const device = number(`device ${ordinal}`, (out) => functions.cuDeviceGet(out, ordinal));
      check(`the UUID of device ${ordinal}`, functions.cuDeviceGetUuid_v2(uuid, device));
      return Buffer.from(uuid).toString("hex");
    });
  } catch {
    return [];
  }
}

/** Asks the driver. E_CUDA_DEVICE where there is none, or it answers with an error (no device, say). */
export function readCudaDriver(open = openCudaDriver): CudaDriver {
  let opened: ReturnType<typeof openCudaDriver>;
  try {
    opened = open();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MttcError(driverFault(`NVIDIA's driver is not installed: ${reason}`), { cause });
  }
  const { functions } = opened;
  check("starting it", functions.cuInit(0));
  const version = number("its version", functions.cuDriverGetVersion);
  const count = number("the number of devices", functions.cuDeviceGetCount);
  const cudaVersion = `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
  return { cudaVersion, devices: Array.from({ length: count }, (_, i) => readDevice(functions, i)) };
}

function readDevice(functions: DriverFunctions, ordinal: number): CudaDevice {
  const what = `device ${ordinal}`;
  const device = number(what, (out) => functions.cuDeviceGet(out, ordinal));
  const name = new Uint8Array(NAME_BYTES);
  check(`the name of ${what}`, functions.cuDeviceGetName(name, NAME_BYTES, device));
  const attribute = (key: number) =>
    number(`an attribute of ${what}`, (out) => functions.cuDeviceGetAttribute(out, key, device));
  const length = name.indexOf(0);
  return {
    name: new TextDecoder().decode(name.subarray(0, length === -1 ? NAME_BYTES : length)),
    memoryBytes: number(`the memory of ${what}`, (out) => functions.cuDeviceTotalMem_v2(out, device)),
    capability: `${attribute(CAPABILITY.major)}.${attribute(CAPABILITY.minor)}`,
  };
}

function number(what: string, call: (out: Out<number>) => number): number {
  const out: Out<number> = [0];
  check(what, call(out));
  return Number(out[0]);
}

function check(what: string, result: number): void {
  if (result === 0) return;
  throw new MttcError(driverFault(`NVIDIA's driver, asked for ${what}, answers with error ${result}`));
}

function driverFault(message: string): Fault {
  return {
    code: "E_CUDA_DEVICE",
    message,
    hint: "`nvidia-smi` shows driver and devices; CUDA 13 needs a driver of version 580 or later",
  };
}
