// Tensors as the memory that other ranks get or add to.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { RankPart } from "../ranks/rankEngine.ts";
import type { OrtTensor } from "./tensor.ts";

/** The memory of tensors, where it lies. */
export function rankParts(tensors: readonly OrtTensor[]): RankPart[] {
  return tensors.map((tensor) => {
    const { name, address, sizeBytes, device } = tensor;
    if (device !== null) return { name, address, sizeBytes, memory: null };
    const { buffer, byteOffset } = tensor.cpuView;
    return { name, address, sizeBytes, memory: new Uint8Array(buffer, byteOffset, sizeBytes) };
  });
}

/** Those of float32 tensors; E_ORT_BINDING names one that is not. */
export function floatParts(tensors: readonly OrtTensor[]): RankPart[] {
  for (const { name, dtype } of tensors)
    if (dtype !== "float32")
      throw new MttcError({
        code: "E_ORT_BINDING",
        message: `tensor "${name}" is ${dtype}: only float32 is summed over ranks`,
      });
  return rankParts(tensors);
}
