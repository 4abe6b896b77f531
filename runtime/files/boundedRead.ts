// The beginning of a file that may be anything: /dev/zero never ends, a pipe has no size. path -> text.
import { open } from "node:fs/promises";
import { fileError } from "./fileSystem.ts";

const PIECE_BYTES = 2 ** 18;

/**
 * The text (UTF-8) of a file, pipe or device, of its first `mostBytes` and a little more where it is longer, so
 * that the caller sees that it is. E_FILE; `action` completes "cannot ..." in its message.
 */
export async function readTextUpTo(path: string, mostBytes: number, action: string): Promise<string> {
  try {
    await using handle = await open(path, "r");
    const pieces: Buffer[] = [];
    for (let length = 0; length <= mostBytes; ) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(PIECE_BYTES), 0, PIECE_BYTES, null);
      if (bytesRead === 0) break;
      pieces.push(buffer.subarray(0, bytesRead));
      length += bytesRead;
    }
    return Buffer.concat(pieces).toString("utf8");
  } catch (error) {
    throw fileError(error, path, action);
  }
}
