// Values of frozen parameters that a run took from elsewhere (`init_from`): no checkpoint holds them, and
// nothing else gives them again. One file in the run's folder, written when the run begins.
import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";

export const FROZEN_FILE = "frozen.safetensors";
/** `format` of its metadata. */
const FROZEN_FORMAT = "mttc-frozen";

/** Whether a file that begins so was written here: its header begins with the metadata. */
export function isFrozenHead(head: Uint8Array): boolean {
  return new TextDecoder().decode(head).includes(`{"__metadata__":{"format":"${FROZEN_FORMAT}"`);
}

/** A frozen parameter with its value, row-major. */
export interface FrozenWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Writes them to a run that begins; without any, a file of an earlier begin goes. E_FILE, E_DISK. */
export async function writeFrozen(directory: string, weights: readonly FrozenWeight[]): Promise<void> {
  const file = join(directory, FROZEN_FILE);
  try {
    if (weights.length === 0) return await rm(file, { force: true });
  } catch (error) {
    throw fileError(error, file, "remove");
  }
  const tensors = weights.map(({ name, shape, data }): StoredTensor => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { name, dtype: "float32", shape, data: bytes };
  });
  const metadata = { format: FROZEN_FORMAT, sha256: hashOf(tensors) };
  await writeFileAtomically(file, encodeSafetensors(tensors, metadata));
}

/** The values by name; none where a run has no such file. E_BUNDLE where it is damaged, E_FILE. */
export async function readFrozen(directory: string): Promise<ReadonlyMap<string, Float32Array>> {
  const file = join(directory, FROZEN_FILE);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return new Map();
    throw fileError(error, file, "read");
  }
  const { tensors, metadata } = decodeSafetensors(bytes, file);
  if (metadata.sha256 !== hashOf([...tensors.values()]))
    throw new MttcError({
      code: "E_BUNDLE",
      message: "the frozen weights that the run took from `init_from` are not as they were written",
      at: { file },
    });
  const floats = ({ data }: StoredTensor) => new Float32Array(new Uint8Array(data).buffer);
  return new Map([...tensors].map(([name, tensor]) => [name, floats(tensor)]));
}

function hashOf(tensors: readonly StoredTensor[]): string {
  const hash = createHash("sha256");
  for (const { name, shape, data } of tensors) hash.update(`${name} ${shape}\n`).update(data);
  return hash.digest("hex");
}
