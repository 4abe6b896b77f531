// What a file is to hold: bytes in one piece or several, so that tensors need no second copy to be written.
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { setImmediate as breathe } from "node:timers/promises";
import { type FileSystem, nodeFileSystem } from "./fileSystem.ts";

/** The content of a file, in one piece or in several in their order. */
export type FileContent = Uint8Array | readonly Uint8Array[];

/** Pieces smaller than this are written together. */
const SMALL_BYTES = 2 ** 20;

/** So much is hashed at a time, some milliseconds: a training step that ends meanwhile waits no longer. */
const HASHED_BYTES = 4 * 2 ** 20;

/** A file as manifests list it: its size, and its SHA-256 in hexadecimal digits. */
export interface ContentDescription {
  readonly bytes: number;
  readonly sha256: string;
}

/** Size and hash of a content; others get their turn between its pieces. */
export async function describeContent(content: FileContent): Promise<ContentDescription> {
  return await describePieces(writablePieces(content, HASHED_BYTES));
}

/** Size and hash of what a file holds, which is never in memory as a whole. Errors are the system's. */
export async function describeFile(
  path: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<ContentDescription> {
  const handle = await fileSystem.open(path, "r");
  try {
    return await describePieces(piecesOfFile(handle));
  } finally {
    await handle.close();
  }
}

async function describePieces(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<ContentDescription> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of pieces) {
    hash.update(piece);
    bytes += piece.length;
    await breathe();
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Each piece lies in the same buffer, until the next is asked for. */
async function* piecesOfFile(handle: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(HASHED_BYTES);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The content for calls of write: no piece longer than `most` bytes, small ones joined. */
export function* writablePieces(content: FileContent, most: number): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  let smallBytes = 0;
  for (const piece of piecesOf(content)) {
    if (smallBytes + piece.length > SMALL_BYTES && smallBytes > 0) {
      yield joined(small);
      [small, smallBytes] = [[], 0];
    }
    if (piece.length < SMALL_BYTES) {
      small.push(piece);
      smallBytes += piece.length;
    } else for (let at = 0; at < piece.length; at += most) yield piece.subarray(at, at + most);
  }
  if (smallBytes > 0) yield joined(small);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  return pieces.length === 1 && only ? only : Buffer.concat(pieces);
}

function piecesOf(content: FileContent): readonly Uint8Array[] {
  return content instanceof Uint8Array ? [content] : content;
}
