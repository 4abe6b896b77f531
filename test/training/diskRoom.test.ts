// Room on the disk and sizes in words: what a run says of its packs and features.
import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import { lackOfRoom, sizeText } from "../../runtime/train/diskRoom.ts";

it("small sizes are in MB, never 0.00 GB", () => {
  expect([1_000, 6_600_000, 99_900_000, 100_000_000, 1.234e12].map(sizeText)).toEqual([
    "0.0 MB",
    "6.6 MB",
    "99.9 MB",
    "0.10 GB",
    "1234.00 GB",
  ]);
});

it("what is more than half of the free disk finds no room, and both sizes are said", async () => {
  expect(await lackOfRoom(tmpdir(), 1)).toBeUndefined();
  expect(await lackOfRoom(tmpdir(), 1e18)).toMatch(/^1000000000\.00 GB of [\d.]+ [MG]B that are free$/);
});
