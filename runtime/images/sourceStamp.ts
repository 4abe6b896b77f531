// A number that tells a file from what it was before: of its size and its time of modification. Four bytes
// per row are all that a run keeps of its sources; one change in 2^32 would go unnoticed.
import { crc32 } from "node:zlib";

/** The stamp of a file as its stat has it. */
export function stampOf({ size, mtimeMs }: { readonly size: number; readonly mtimeMs: number }): number {
  return crc32(new Uint8Array(Float64Array.of(size, mtimeMs).buffer));
}
