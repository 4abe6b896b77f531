// The browser of the tests itself: it starts, draws letters and colours, and tells of faults of a page.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HAS_BROWSER, openBrowser, type TestBrowser } from "./browser.ts";
import { brightnessOf, lookAt } from "./looked.ts";

describe.skipIf(!HAS_BROWSER)("the browser", () => {
  let browser: TestBrowser;
  let folder: string;
  beforeAll(async () => {
    browser = await openBrowser();
    folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
  }, 60_000);
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function look(body: string) {
    const file = join(folder, "page.html");
    await writeFile(file, `<!doctype html><meta charset="utf-8"><body style="margin:0">${body}</body>`);
    return await lookAt(browser, file, { width: 300, height: 200 });
  }
  const chart = (inner: string) =>
    `<div class="chart"><svg width="300" height="150" xmlns="http://www.w3.org/2000/svg">${inner}</svg></div>`;

  test("draws a page that is sound", async () => {
    const shapes = '<path d="M0 0L100 100"/><rect width="50" height="50"/><circle cx="80" cy="80" r="9"/>';
    const page = await look(`<h1>Title</h1>${chart(`${shapes}<text x="10" y="40">words</text>`)}`);
    expect(page).toMatchObject({
      complaints: [],
      requests: [],
      scripts: 0,
      cut: [],
      broken: [],
      overflow: 0,
    });
    expect(page.charts).toEqual([{ width: 300, height: 150, shapes: 3 }]);
    expect(page.text).toContain("Title");
    expect((await brightnessOf(page.png)).spread).toBeGreaterThan(10);
  });

  test.each([
    ["text that is cut off", chart('<text x="280" y="40">a long text</text>'), "cut"],
    [
      "a paragraph that is too wide",
      `<p style="width:50px;white-space:nowrap">${"word ".repeat(30)}</p>`,
      "cut",
    ],
    ["a script that fails", "<script>throw new Error('x')</script>", "complaints"],
    ["a request", '<link rel="stylesheet" href="other.css">', "requests"],
    ["a broken picture", '<img alt="gone" src="data:image/png;base64,AAAA">', "broken"],
  ] as const)("sees %s", async (_, body, fault) => {
    expect((await look(body))[fault]).not.toEqual([]);
  });

  test("has WebGPU, in software, where graphics are asked for", async () => {
    await using other = await openBrowser({ graphics: true });
    const page = await other.page();
    const file = join(folder, "graphics.html");
    await writeFile(file, "<!doctype html><title>graphics</title>");
    await page.goto(pathToFileURL(file).href);
    const device = `navigator.gpu.requestAdapter().then((adapter) => adapter?.info.architecture ?? "none")`;
    expect(await page.evaluate(device)).toBe("swiftshader");
  });

  test("sees a page that is blank", async () => {
    expect((await brightnessOf((await look("")).png)).spread).toBeLessThan(1);
  });
});
