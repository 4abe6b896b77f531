// The part of a report about tasks that fight: what it says of two tasks, of three, of forty, and how a
// browser shows it.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { combineWeightName, conflictName, cosineName, normName } from "../../runtime/logs/gradientFigures.ts";
import { ChartDrawer } from "../../runtime/report/chartDrawer.ts";
import { conflictSection } from "../../runtime/report/conflictSection.ts";
import { runCurves } from "../../runtime/report/curves.ts";
import { html } from "../../runtime/report/html.ts";
import { pageText } from "../../runtime/report/page.ts";
import { conflictSentences, taskGradients } from "../../runtime/report/taskConflicts.ts";
import type { EpochReport } from "../../runtime/train/events.ts";
import { HAS_BROWSER, openBrowser } from "../browser/browser.ts";
import { lookAt } from "../browser/looked.ts";

const KEPT = process.env.MTTC_SCREENSHOTS;

/** Epochs whose cosines, and shares of steps, are what is said of two places. */
function historyOf(
  tasks: readonly string[],
  cosineOf: (a: number, b: number, epoch: number) => number | undefined,
  shareOf: (a: number, b: number, epoch: number) => number | undefined = () => undefined,
): EpochReport[] {
  return [1, 2, 3, 4].map((epoch): EpochReport => {
    const scalars: Record<string, number> = {};
    for (const [a, first] of tasks.entries()) {
      scalars[normName(first)] = (a + 1) / epoch;
      for (const [b, second] of tasks.entries()) {
        const cosine = a < b ? cosineOf(a, b, epoch) : undefined;
        if (cosine !== undefined) scalars[cosineName(first, second)] = cosine;
        const share = a < b ? shareOf(a, b, epoch) : undefined;
        if (share !== undefined) scalars[conflictName(first, second)] = share;
      }
    }
    const figures = { trainLoss: {}, trainAccuracy: {}, taskWeights: {} };
    return { epoch, steps: 1, seconds: 1, waitShare: 0, ...figures, scalars };
  });
}

const THREE = ["species", "sex", "<b>age</b>"];
const wave = (a: number, b: number, epoch: number): number => Math.sin(3 * a + 7 * b) * (1 - 0.1 * epoch);
const waveShare = (a: number, b: number, epoch: number): number => (1 - wave(a, b, epoch)) / 2;

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

  test("says how often, and names pairs whose mean hides it", () => {
    const cosines = new Map([
      ["0 1", -0.31],
      ["0 2", 0.4],
      ["1 2", -0.02],
    ]);
    const shares = new Map([
      ["0 1", 0.84],
      ["0 2", 0.3],
      ["1 2", 0.47],
    ]);
    const of = (values: ReadonlyMap<string, number>) => (a: number, b: number) => values.get(`${a} ${b}`);
    expect(saidOf(THREE, historyOf(THREE, of(cosines), of(shares)))).toEqual([
      "species and sex pull apart: mean cosine \u22120.31, below 0 in 84 % of the steps",
      "sex and <b>age</b> pull apart at times: mean cosine \u22120.02, below 0 in 47 % of the steps",
      "species and <b>age</b> pull apart at times: mean cosine 0.40, below 0 in 30 % of the steps",
    ]);
    const rarely = historyOf(
      ["a", "b"],
      () => 0.4,
      () => 0.002,
    );
    expect(saidOf(["a", "b"], rarely)).toEqual([
      "no two tasks pull apart on the mean",
      "a and b pull the same way: mean cosine 0.40, below 0 in <1 % of the steps",
    ]);
  });

  test("shows shares only of runs that counted them", async () => {
    const drawer = await ChartDrawer.load();
    const older = conflictSection(drawer, historyOf(THREE, wave), THREE)?.content.text ?? "";
    expect(older).toContain("Cosines");
    expect(older).not.toContain("Steps that pull apart");
    const counted = conflictSection(drawer, historyOf(THREE, wave, waveShare), THREE)?.content.text ?? "";
    expect(counted).toContain("Steps that pull apart");
  });

  test.each<[string, readonly number[], boolean]>([
    ["are no chart where all are 1, as of a measured sum", [1, 1], false],
    ["are a chart where one is another", [1, 0.5], true],
    ["are no chart of a run that has none", [], false],
  ])("weights %s", async (_, weights, isShown) => {
    const scalars = Object.fromEntries(weights.map((weight, t) => [combineWeightName(`t${t}`), weight]));
    const history = historyOf(["t0", "t1"], wave).map((epoch) => ({
      ...{ ...epoch, taskWeights: { t0: 1, t1: 1 } },
      scalars: { ...epoch.scalars, ...scalars },
    }));
    const tasks = ["t0", "t1"].map((name) => ({ name, reports: { figures: [], gain: () => 0 } }));
    const titles = runCurves(history, tasks, 8).map(({ title }) => title);
    expect(titles.includes("weights of the combination")).toBe(isShown);
    expect(titles).not.toContain("task weights");
    const text = conflictSection(await ChartDrawer.load(), history, ["t0", "t1"])?.content.text ?? "";
    expect(text.includes(">weight<")).toBe(isShown);
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
        const part = conflictSection(drawer, historyOf(tasks, wave, waveShare), tasks);
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
          expect(seen.charts.length).toBe(count <= 12 ? 3 : 2);
          const name = `conflict-${count}-${look.width}${"dark" in look ? "-dark" : ""}.png`;
          if (KEPT !== undefined) await writeFile(join(KEPT, name), seen.png);
        }
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
