// Files of a bundle on their way to other ranks: in pieces, since the constants of a large network are more
// than one message, or one read of a file, may hold.
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileError } from "../files/fileSystem.ts";

/** A piece of a file. */
export interface BundlePiece {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** The file begins with it. */
  readonly isFirst: boolean;
}

const PIECE_BYTES = 16 * 2 ** 20;

/** The pieces of a file in order, one at least. E_FILE. */
export async function* filePieces(
  file: string,
  pieceBytes: number = PIECE_BYTES,
): AsyncGenerator<BundlePiece> {
  const name = basename(file);
  let isFirst = true;
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: pieceBytes })) {
      yield { name, bytes: chunk as Uint8Array, isFirst };
      isFirst = false;
    }
  } catch (error) {
    throw fileError(error, file, "read");
  }
  if (isFirst) yield { name, bytes: new Uint8Array(), isFirst };
}

/** Adds a piece to its file in a folder. E_FILE, E_DISK. */
export async function writePiece(folder: string, { name, bytes, isFirst }: BundlePiece): Promise<void> {
  const file = join(folder, basename(name));
  await writeFile(file, bytes, { flag: isFirst ? "w" : "a" }).catch((error: unknown) => {
    throw fileError(error, file, "write");
  });
}
