// What a file is to hold: bytes in one piece or several, so that tensors need no second copy to be written.
import { createHash } from "node:crypto";

/** The content of a file, in one piece or in several in their order. */
export type FileContent = Uint8Array | readonly Uint8Array[];

/** Pieces smaller than this are written together. */
const SMALL_BYTES = 2 ** 20;

/** Size and SHA-256 (hex), as manifests list files. */
export function describeContent(content: FileContent): { bytes: number; sha256: string } {
  const hash = createHash("sha256");
  let bytes = 0;
  for (const piece of piecesOf(content)) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest("hex") };
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
