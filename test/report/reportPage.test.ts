// Reports as a reader sees them, in a real Chromium: they render in light and dark, without a script, a
// request or an error, nothing is cut off, and what is drawn is there.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeComparison } from "../../runtime/report/comparisonPage.ts";
import { writeReport } from "../../runtime/report/runReport.ts";
import { HAS_BROWSER, openBrowser, type TestBrowser } from "../browser/browser.ts";
import { brightnessOf, type LookedPage, lookAt } from "../browser/looked.ts";
import type { TinyData } from "../cli/tinyData.ts";
import { tinySpec } from "../cli/tinyData.ts";
import { trainerOfText } from "../runs/trainedData.ts";
import { mixedRun, NASTY } from "./reportData.ts";

/** Where screenshots are kept for whoever looks at them; nowhere by default. */
const KEPT = process.env.MTTC_SCREENSHOTS;

describe.skipIf(!HAS_BROWSER)("in a browser", () => {
  let data: TinyData;
  let browser: TestBrowser;
  let report: string;
  let comparison: string;

  beforeAll(async () => {
    data = await mixedRun();
    browser = await openBrowser();
    report = (await writeReport(join(data.folder, "run"), { runtime: { threads: 1 } })).path;
    const other = tinySpec({ tasks: "[colour]", logdir: "other", lr: "0.01" });
    await using trainer = trainerOfText(data.folder, other);
    await trainer.fit(2);
    comparison = join(data.folder, "compare.html");
    await writeComparison([join(data.folder, "run"), join(data.folder, "other")], { output: comparison });
  }, 120_000);

  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await data?.[Symbol.asyncDispose]();
  });

  async function expectSound(name: string, page: LookedPage, isDark: boolean): Promise<void> {
    if (KEPT !== undefined) {
      await mkdir(KEPT, { recursive: true });
      await writeFile(join(KEPT, `${name}.png`), page.png);
    }
    const { complaints, requests, scripts, cut, broken, overflow } = page;
    expect({ complaints, requests, scripts, cut, broken }).toEqual({
      ...{ complaints: [], requests: [], scripts: 0, cut: [], broken: [] },
    });
    expect(overflow).toBeLessThanOrEqual(0);
    for (const chart of page.charts) {
      expect(chart.width).toBeGreaterThan(200);
      expect(chart.height).toBeGreaterThan(100);
      expect(chart.shapes).toBeGreaterThan(3);
    }
    const { mean, spread } = await brightnessOf(page.png);
    expect(spread).toBeGreaterThan(8);
    if (isDark) expect(mean).toBeLessThan(90);
    else expect(mean).toBeGreaterThan(180);
  }

  test.each([
    ["wide", { width: 1360 }],
    ["narrow", { width: 400, height: 800 }],
    ["dark", { dark: true }],
  ] as const)("a report is sound: %s", async (name, look) => {
    const page = await lookAt(browser, report, look);
    await expectSound(`report-${name}`, page, name === "dark");
    expect(page.charts.length).toBeGreaterThan(20);
    for (const text of [...NASTY, "marks", "Reliability", "best", "The most certain mistakes", "spec.yml"])
      expect(page.text).toContain(text);
  });

  test("the same is seen without scripts", async () => {
    const [run, still] = [
      await lookAt(browser, report),
      await (await browser.page({ scripts: false })).context(),
    ];
    const page = await still.newPage();
    await page.goto(`file://${report}`);
    expect(Buffer.compare(await page.screenshot({ fullPage: true }), run.png)).toBe(0);
    await still.close();
  });

  test("on paper nothing is dark, and charts are there", async () => {
    const page = await browser.page({ dark: true, width: 800 });
    await page.goto(`file://${report}`);
    await page.emulateMedia({ media: "print" });
    const { mean, spread } = await brightnessOf(await page.screenshot({ fullPage: true }));
    expect([mean > 200, spread > 8]).toEqual([true, true]);
    await page.context().close();
  });

  test.each([false, true])("a comparison is sound, dark: %s", async (dark) => {
    const page = await lookAt(browser, comparison, { dark });
    await expectSound(`compare-${dark ? "dark" : "light"}`, page, dark);
    expect(page.charts.length).toBeGreaterThan(4);
    for (const text of ["2 runs compared", "other", "lr", "0.01", "colour"])
      expect(page.text).toContain(text);
  });
});
