// The mark of pictures that mttc draws: a tEXt chunk "Software: mttc" (PNG specification, 11.3.3.2) behind the
// header, by which a later command knows that it may replace the file. PNG -> PNG with the mark.
import { crc32 } from "node:zlib";
import type { FileMark } from "../files/ownOutput.ts";

/** The signature and the IHDR chunk, which comes first in every PNG. */
const HEADER_BYTES = 8 + 25;
const TEXT = Buffer.from("tEXtSoftware\0mttc", "latin1");

/** How a picture of ours is known. */
export const PNG_MARK: FileMark = {
  what: "a picture",
  isOurs: (head) => Buffer.from(head).includes(TEXT),
};

/** The picture with the mark; its pixels are the same. */
export function markPng(png: Uint8Array): Buffer {
  const chunk = Buffer.alloc(TEXT.length + 8);
  chunk.writeUInt32BE(TEXT.length - 4, 0);
  TEXT.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(TEXT), 4 + TEXT.length);
  return Buffer.concat([png.subarray(0, HEADER_BYTES), chunk, png.subarray(HEADER_BYTES)]);
}
