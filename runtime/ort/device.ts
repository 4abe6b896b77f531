// The device of a provider, held open for as long as tensors lie on it: a graph of one node keeps the
// provider's allocator alive, and shows at once whether device, driver and libraries are there.
import { encodeModelProto } from "../../compiler/codec/protobuf.ts";
import { ONNX_DTYPES } from "../../compiler/codec/tensorBytes.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { CollectiveDevice } from "../ranks/rankEngine.ts";
import { CudaCopies } from "./cudaCopies.ts";
import { visibleDevices } from "./cudaDriver.ts";
import { CUDA_RUNTIME, missingProviderFiles, requireCudaLibraries } from "./cudaLibraries.ts";
import { type DeviceCopies, type DeviceMemory, OrtCopies } from "./deviceMemory.ts";
import type { Pointer } from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";
import { type Provider, type ProviderTraits, providerTraits } from "./provider.ts";
import { OrtSession } from "./session.ts";

/** OrtDeviceAllocator and OrtMemTypeDefault of the C API. */
const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;

/** What comes with the code of a provider. */
interface ProviderCode {
  /** Loads what it needs, which stays loaded while the result is held. */
  readonly prepare: (library: OrtLibrary) => readonly object[];
  /** Copies to and from a device, by its number. */
  readonly copiesOf: (library: OrtLibrary, device: number) => DeviceCopies;
  /** The runtime library of devices whose memory NCCL reaches. */
  readonly collectives: string | null;
}

const CODE: Readonly<Record<ProviderTraits["library"], ProviderCode>> = {
  core: { prepare: () => [], copiesOf: (library) => new OrtCopies(library), collectives: null },
  cuda: {
    prepare: ({ path }) => {
      refuseWithoutProvider(path);
      return requireCudaLibraries();
    },
    copiesOf: (library, device) => new CudaCopies(library, device),
    collectives: CUDA_RUNTIME,
  },
};

/** An opened device; tensors and graphs on it must be disposed before it, and it before the library. */
export class OrtDevice implements DeviceMemory {
  readonly provider: Provider;
  readonly allocator: Pointer;
  readonly copies: DeviceCopies;
  readonly #library: OrtLibrary;
  readonly #anchor: OrtSession;
  /** NVIDIA's libraries stay loaded while they are held. */
  readonly preloaded: readonly object[];

  private constructor(
    library: OrtLibrary,
    provider: Provider,
    held: { anchor: OrtSession; allocator: Pointer; copies: DeviceCopies; preloaded: readonly object[] },
  ) {
    this.#library = library;
    this.provider = provider;
    this.#anchor = held.anchor;
    this.allocator = held.allocator;
    this.copies = held.copies;
    this.preloaded = held.preloaded;
  }

  /**
   * Opens the provider's device; null for the CPU, whose memory is the host's. E_CUDA_LIBRARY, E_CUDA_DEVICE
   * and E_DEVICE_MEMORY say what is missing.
   */
  static open(library: OrtLibrary, provider: Provider): OrtDevice | null {
    const { memory: place, library: code } = providerTraits(provider);
    if (place === null) return null;
    const { prepare, copiesOf } = CODE[code];
    const preloaded = prepare(library);
    const { functions } = library;
    const doing = `opening the device of ${provider.kind}`;
    const anchor = OrtSession.open(library, doing, { bytes: anchorModel() }, { provider, intraOpThreads: 1 });
    let allocator: Pointer | undefined;
    try {
      const memory = library.make(doing, (out) =>
        functions.CreateMemoryInfo(place.name, DEVICE_ALLOCATOR, place.device, DEFAULT_MEMORY, out),
      );
      try {
        allocator = library.make(doing, (out) => functions.CreateAllocator(anchor.pointer, memory, out));
      } finally {
        functions.ReleaseMemoryInfo(memory);
      }
      const copies = copiesOf(library, place.device);
      return new OrtDevice(library, provider, { anchor, allocator, copies, preloaded });
    } catch (error) {
      if (allocator !== undefined) functions.ReleaseAllocator(allocator);
      anchor[Symbol.dispose]();
      throw error;
    }
  }

  /** How NCCL reaches its memory; null where it does not. */
  get collectives(): CollectiveDevice | null {
    const { memory, library } = providerTraits(this.provider);
    const { collectives: runtime } = CODE[library];
    if (runtime === null || memory === null) return null;
    const { device } = memory;
    return { device, uuid: visibleDevices()[device] ?? "", runtime };
  }

  [Symbol.dispose](): void {
    this.copies[Symbol.dispose]();
    this.#library.functions.ReleaseAllocator(this.allocator);
    this.#anchor[Symbol.dispose]();
  }
}

function refuseWithoutProvider(core: string): void {
  const missing = missingProviderFiles(core);
  if (missing.length === 0) return;
  throw new MttcError({
    code: "E_CUDA_LIBRARY",
    message: `${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} not beside ${core}`,
    hint: "`mttc setup-cuda` brings ONNX Runtime's CUDA provider; MTTC_ORT_DIR names a folder that has it",
  });
}

/** y = x + x of one float32. */
function anchorModel(): Uint8Array {
  const type = { tensorType: { elemType: ONNX_DTYPES.float32, shape: { dim: [{ dimValue: 1 }] } } };
  return encodeModelProto({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 18 }],
    graph: {
      name: "anchor",
      node: [{ name: "Add", opType: "Add", input: ["x", "x"], output: ["y"], attribute: [] }],
      initializer: [],
      input: [{ name: "x", type }],
      output: [{ name: "y", type }],
    },
  });
}
