// Tensors as the memory that other ranks get or add to. What lies on a device that the engine does not reach
// goes through a copy in the host's memory: slower, and all that MPI without CUDA can do.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { RankPart } from "../ranks/rankEngine.ts";
import type { DeviceMemory } from "./deviceMemory.ts";
import { NativeMemory } from "./ffi.ts";
import type { OrtTensor } from "./tensor.ts";

/** E_ORT_BINDING names a tensor that is not float32. */
export function refuseOtherTypes(tensors: readonly OrtTensor[]): void {
  for (const { name, dtype } of tensors)
    if (dtype !== "float32")
      throw new MttcError({
        code: "E_ORT_BINDING",
        message: `tensor "${name}" is ${dtype}: only float32 is summed over ranks`,
      });
}

/** Host memory for copies of device tensors, kept from call to call. */
export class RankTensors {
  #memory: NativeMemory | null = null;

  /** Has `call` work on the memory of tensors, wherever they lie. */
  share(tensors: readonly OrtTensor[], reachesDevices: boolean, call: (parts: RankPart[]) => void): void {
    const copied = reachesDevices ? [] : tensors.filter(({ device }) => device !== null);
    const copies = this.#copiesOf(copied);
    const parts = tensors.map((tensor) => copies.get(tensor) ?? ownPart(tensor));
    for (const [device, pairs] of byDevice(copies)) device.copies.download(pairs);
    call(parts);
    for (const [device, pairs] of byDevice(copies)) {
      device.copies.begin(pairs);
      device.copies.finish();
    }
  }

  #copiesOf(tensors: readonly OrtTensor[]): Map<OrtTensor, RankPart> {
    const sizeBytes = tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, 0);
    if (sizeBytes === 0) return new Map();
    if (this.#memory === null || this.#memory.bytes.length < sizeBytes) {
      this.#memory?.[Symbol.dispose]();
      this.#memory = new NativeMemory(sizeBytes);
    }
    const { address, bytes } = this.#memory;
    let start = 0;
    return new Map(
      tensors.map((tensor) => {
        const memory = bytes.subarray(start, start + tensor.sizeBytes);
        const part = {
          name: tensor.name,
          address: address + BigInt(start),
          sizeBytes: tensor.sizeBytes,
          memory,
        };
        start += tensor.sizeBytes;
        return [tensor, part] as const;
      }),
    );
  }

  [Symbol.dispose](): void {
    this.#memory?.[Symbol.dispose]();
    this.#memory = null;
  }
}

function ownPart(tensor: OrtTensor): RankPart {
  const { name, address, sizeBytes, device } = tensor;
  if (device !== null) return { name, address, sizeBytes, memory: null };
  const { buffer, byteOffset } = tensor.cpuView;
  return { name, address, sizeBytes, memory: new Uint8Array(buffer, byteOffset, sizeBytes) };
}

type Pair = readonly [OrtTensor, Uint8Array];

function byDevice(copies: ReadonlyMap<OrtTensor, RankPart>): Map<DeviceMemory, Pair[]> {
  const pairs = new Map<DeviceMemory, Pair[]>();
  for (const [tensor, { memory }] of copies)
    if (tensor.device !== null && memory !== null)
      pairs.set(tensor.device, [...(pairs.get(tensor.device) ?? []), [tensor, memory]]);
  return pairs;
}
