// Files that go to other ranks in pieces: what arrives is what was sent, whatever the sizes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BundlePiece, filePieces, writePiece } from "../../runtime/train/bundlePieces.ts";
import { rejection } from "../ort/rejection.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mttc-pieces-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  [0, 1],
  [1, 1],
  [999, 1],
  [1000, 1],
  [1001, 2],
  [4000, 4],
  [70_001, 71],
])("%i bytes in pieces of 1000 are %i, and the same file", async (size, count) => {
  const file = join(folder, "grad.onnx");
  const bytes = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7) % 251));
  writeFileSync(file, bytes);
  const pieces: BundlePiece[] = [];
  for await (const piece of filePieces(file, 1000)) pieces.push(piece);
  expect(pieces).toHaveLength(count);
  const other = mkdtempSync(join(folder, "other-"));
  // What an earlier run has left is replaced.
  writeFileSync(join(other, "grad.onnx"), "left over");
  for (const piece of pieces) await writePiece(other, piece);
  expect(readFileSync(join(other, "grad.onnx")).equals(bytes)).toBe(true);
});

test("what cannot be read or written is told with its place", async () => {
  const missing = filePieces(join(folder, "missing.onnx"));
  expect(await rejection(missing.next())).toMatchObject({ code: "E_FILE" });
  const piece = { name: "a.onnx", bytes: new Uint8Array(3), isFirst: true };
  expect(await rejection(writePiece(join(folder, "nowhere"), piece))).toMatchObject({ code: "E_FILE" });
});
