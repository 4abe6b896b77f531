// Content in pieces: written as it would be in one, with few calls, and described by its whole.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  describeContent,
  describeFile,
  type FileContent,
  writablePieces,
} from "../../runtime/files/fileContent.ts";

const MIB = 2 ** 20;
const bytesOf = (length: number, first: number) => Uint8Array.from({ length }, (_, i) => (first + i) & 255);
const [head, small, large] = [bytesOf(100, 1), bytesOf(3000, 2), bytesOf(2 * MIB + 5, 3)];

const cases: readonly (readonly [string, FileContent, readonly number[]])[] = [
  ["one piece", large, [MIB, MIB, 5]],
  ["no piece", [], []],
  ["empty pieces", [new Uint8Array(), new Uint8Array()], []],
  ["small pieces", [head, small, head], [3200]],
  ["small ones around a large one", [head, large, small, head], [100, MIB, MIB, 5, 3100]],
  [
    "small ones of more than a mebibyte",
    Array.from({ length: 3 }, () => bytesOf(MIB / 2 - 1, 9)),
    [MIB - 2, MIB / 2 - 1],
  ],
];

test.each(cases)("%s", async (_, content, lengths) => {
  const whole = Buffer.concat(content instanceof Uint8Array ? [content] : content);
  const written = [...writablePieces(content, MIB)];
  expect(written.map(({ length }) => length)).toEqual(lengths);
  expect(Buffer.concat(written).equals(whole)).toBe(true);
  const sha256 = createHash("sha256").update(whole).digest("hex");
  const description = { bytes: whole.length, sha256 };
  expect(await describeContent(content)).toEqual(description);
  const folder = mkdtempSync(join(tmpdir(), "mttc-test-content-"));
  writeFileSync(join(folder, "file"), whole);
  expect(await describeFile(join(folder, "file"))).toEqual(description);
  rmSync(folder, { recursive: true });
});

test("a large content is described while others get their turn", async () => {
  const content = bytesOf(24 * MIB, 4);
  let turns = 0;
  const others = setInterval(() => (turns += 1), 0);
  const { bytes } = await describeContent(content);
  clearInterval(others);
  expect([bytes, turns > 1]).toEqual([content.length, true]);
});
