// The record of sittings: older ones, which do not say how many processes trained, are of one; a page shows
// the number where there is more than one.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sittingsFigure } from "../../runtime/report/runSections.ts";
import {
  machineFacts,
  readSittings,
  SITTINGS_FILE,
  type Sitting,
  writeSittings,
} from "../../runtime/runs/sittings.ts";

function sitting(ranks: number): Sitting {
  const machine = machineFacts({ version: "1.29.0", provider: "the CPU", ranks });
  return { ...machine, epoch: ranks, started: "2026-11-30T08:15:00.000Z", lines: ["said"] };
}

test("how many processes trained is kept, and one where an older record does not say", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mttc-sittings-"));
  try {
    await writeSittings(folder, [sitting(1), sitting(4)]);
    expect((await readSittings(folder)).map(({ ranks }) => ranks)).toEqual([1, 4]);
    const { ranks: _, ...older } = sitting(1);
    const record = { format: "mttc-sittings", sittings: [older] };
    writeFileSync(join(folder, SITTINGS_FILE), JSON.stringify(record));
    expect((await readSittings(folder)).map(({ ranks }) => ranks)).toEqual([1]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a page has a column of processes where there were several", () => {
  const alone = sittingsFigure([sitting(1)]).text;
  const shared = sittingsFigure([sitting(1), sitting(4)]).text;
  expect(alone).not.toContain("processes");
  expect(shared).toContain("processes");
  expect(shared).toMatch(/>4</);
});
