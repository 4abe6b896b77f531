// The part of a report about tasks that fight: what it says of two tasks, of three, of forty, and how a
// browser shows it.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cosineName, normName } from "../../runtime/logs/gradientFigures.ts";
import { ChartDrawer } from "../../runtime/report/chartDrawer.ts";
import { conflictSection } from "../../runtime/report/conflictSection.ts";
import { html } from "../../runtime/report/html.ts";
import { pageText } from "../../runtime/report/page.ts";
import { conflictSentences, taskGradients } from "../../runtime/report/taskConflicts.ts";
import type { EpochReport } from "../../runtime/train/events.ts";
import { HAS_BROWSER, openBrowser } from "../browser/browser.ts";
import { lookAt } from "../browser/looked.ts";

const KEPT = process.env.MTTC_SCREENSHOTS;

/** Epochs whose cosines are what `cosineOf` says of two places. */
function historyOf(
  tasks: readonly string[],
  cosineOf: (a: number, b: number, epoch: number) => number | undefined,
): EpochReport[] {
  return [1, 2, 3, 4].map((epoch): EpochReport => {
    const scalars: Record<string, number> = {};
    for (const [a, first] of tasks.entries()) {
      scalars[normName(first)] = (a + 1) / epoch;
      for (const [b, second] of tasks.entries()) {
        const cosine = a < b ? cosineOf(a, b, epoch) : undefined;
        if (cosine !== undefined) scalars[cosineName(first, second)] = cosine;
      }
    }
    const figures = { trainLoss: {}, trainAccuracy: {}, taskWeights: {} };
    return { epoch, steps: 1, seconds: 1, waitShare: 0, ...figures, scalars };
  });
}

const THREE = ["species", "sex", "<b>age</b>"];
const wave = (a: number, b: number, epoch: number): number => Math.sin(3 * a + 7 * b) * (1 - 0.1 * epoch);

function saidOf(tasks: readonly string[], history: readonly EpochReport[]): string[] {
  const found = taskGradients(history, tasks);
  return found ? conflictSentences(found) : [];
}

describe("which tasks fight", () => {
  test("is said in words, the worst first", () => {
    const cosines = new Map([
      ["0 1", -0.31],
      ["0 2", 0.4],
      ["1 2", -0.02],
    ]);
    const history = historyOf(THREE, (a, b, epoch) => (cosines.get(`${a} ${b}`) ?? 0) + (epoch - 2.5) / 100);
    expect(saidOf(THREE, history)).toEqual([
      "species and sex pull apart: mean cosine \u22120.31",
      "species and <b>age</b> pull the same way: mean cosine 0.40",
    ]);
    expect(
      saidOf(
        THREE,
        historyOf(THREE, () => 0.2),
      )[0],
    ).toBe("no two tasks pull apart on the mean");
    expect(
      saidOf(
        ["a", "b"],
        historyOf(["a", "b"], () => -0.004),
      ),
    ).toEqual(["no two tasks pull apart on the mean"]);
    const seven = ["a", "b", "c", "d", "e", "f", "g"];
    expect(
      saidOf(
        seven,
        historyOf(seven, () => -0.5),
      )[5],
    ).toBe("16 more pairs pull apart");
  });

  test("is no part of a page whose run compared nothing, or whose tasks were never together", async () => {
    const drawer = await ChartDrawer.load();
    expect(conflictSection(drawer, [], THREE)).toBeUndefined();
    expect(
      conflictSection(
        drawer,
        historyOf(["a"], () => 1),
        ["a"],
      ),
    ).toBeUndefined();
    expect(
      conflictSection(
        drawer,
        historyOf(THREE, () => undefined),
        THREE,
      ),
    ).toBeUndefined();
    const some = historyOf(THREE, (a, b) => (a === 0 && b === 1 ? -0.5 : undefined));
    const text = conflictSection(drawer, some, THREE)?.content.text ?? "";
    expect(text).toContain("in no batch together");
    expect(text).not.toContain("<b>age</b>");
  });

  test.skipIf(!HAS_BROWSER)("is shown whole of two, three, forty and a hundred tasks", async () => {
    const drawer = await ChartDrawer.load();
    const folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
    await using browser = await openBrowser();
    try {
      for (const count of [2, 3, 40, 100]) {
        const tasks = count === 3 ? THREE : Array.from({ length: count }, (_, i) => `attribute_${i + 1}`);
        const part = conflictSection(drawer, historyOf(tasks, wave), tasks);
        const file = join(folder, `${count}.html`);
        const page = { title: "run", lead: html`lead`, footer: "", sections: part ? [part] : [] };
        await writeFile(file, pageText(page));
        for (const look of [{ width: 1360 }, { width: 1360, dark: true }, { width: 400, height: 800 }]) {
          const seen = await lookAt(browser, file, look);
          const { complaints, requests, scripts, cut, broken, overflow } = seen;
          expect({ complaints, requests, scripts, cut, broken }).toEqual({
            ...{ complaints: [], requests: [], scripts: 0, cut: [], broken: [] },
          });
          expect(overflow).toBeLessThanOrEqual(0);
          expect(seen.charts.length).toBe(count <= 12 ? 2 : 1);
          const name = `conflict-${count}-${look.width}${"dark" in look ? "-dark" : ""}.png`;
          if (KEPT !== undefined) await writeFile(join(KEPT, name), seen.png);
        }
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
