// The page of the browser's client as a person uses it: a model and photos given, answers and heat maps
// seen, faults told, WebGPU asked for; in a Chromium, from the client's own server.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { exportRun } from "../../runtime/mttc.ts";
import { HAS_BROWSER, openBrowser, type TestBrowser } from "../browser/browser.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { trainedTiny } from "../export/trainedTiny.ts";
import { clientFolder } from "./client.ts";

const SLOW = 90_000;
/**
 * Channels before those of four of each task: of six, a kernel of WebGPU is wrong (onnxruntime issue
 * 29651).
 */
const WIDTHS = [
  ["even", 8],
  ["odd", 6],
] as const;

describe.skipIf(!HAS_BROWSER)("the page", () => {
  let data: TinyData;
  let browser: TestBrowser;
  let server: { address: string; close: () => void };
  let page: Page;
  let folder: string;
  const complaints: string[] = [];

  beforeAll(async () => {
    data = await makeTinyData();
    folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
    for (const [name, width] of WIDTHS) {
      const changes = { shared_layers: [width], task_layers: [4], logdir: `${name}-run` };
      await using trainer = await trainedTiny(data.folder, changes);
      await exportRun(trainer, { directory: join(folder, name), heatmaps: {} });
    }
    const { serve } = await import(pathToFileURL(join(clientFolder("browser"), "serve.mjs")).href);
    server = await serve({ files: folder });
    browser = await openBrowser({ graphics: true });
  }, SLOW);
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    server?.close();
    await rm(folder, { recursive: true, force: true });
    await data?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    complaints.length = 0;
    page = await browser.page({ width: 1000, height: 900 });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(server.address);
  });

  const model = (name: string) => join(folder, name, "model.onnx");
  const photo = () => join(data.folder, "images", "val-0.png");
  const give = async (id: "model-file" | "photo-files", file: string) =>
    await page.setInputFiles(`#${id}`, file);

  test(
    "shows the classes of a photo as bars, and where they come from",
    async () => {
      await give("model-file", model("even"));
      await give("photo-files", photo());
      const card = page.locator(".card");
      await card.locator(".task").first().waitFor({ timeout: SLOW });
      expect(await card.locator("h4").allInnerTexts()).toEqual(["colour", "its shape"]);
      expect(await card.locator(".task").first().locator(".bars .name").allInnerTexts()).toHaveLength(2);
      expect(await card.locator("img").getAttribute("alt")).toBe("Photo val-0.png");
      const button = card.getByRole("button", { name: "Heat map" }).first();
      await button.press("Enter");
      expect(await button.getAttribute("aria-pressed")).toBe("true");
      expect(await card.getByRole("img", { name: "Heat map of colour" }).isVisible()).toBe(true);
      await button.press("Enter");
      expect(await card.getByRole("img", { name: "Heat map of colour" }).isVisible()).toBe(false);
      await card.getByRole("button", { name: "Remove val-0.png" }).press("Enter");
      expect(await card.count()).toBe(0);
      expect(complaints).toEqual([]);
    },
    SLOW,
  );

  test(
    "lets photos wait for a model, which an address may name",
    async () => {
      await give("photo-files", photo());
      await page.getByText("Waits for a model.").waitFor();
      await page.goto(`${server.address}?model=/files/even/its_shape.onnx`);
      await page.locator("#model-name strong").waitFor({ timeout: SLOW });
      await give("photo-files", photo());
      await page.locator(".task").waitFor({ timeout: SLOW });
      expect(await page.locator(".card h4").allInnerTexts()).toEqual(["its shape"]);
    },
    SLOW,
  );

  test(
    "tells what is wrong with a model or a photo, and goes on",
    async () => {
      const bad = join(folder, "bad.onnx");
      await writeFile(bad, "no model");
      await give("model-file", bad);
      await page.locator("#faults .fault").waitFor();
      expect(await page.locator("#faults").innerText()).toMatch(/bad\.onnx is not opened:\s+E_MODEL_PARSE/);
      await page.goto(`${server.address}?model=/files/nowhere.onnx`);
      await page.getByText("E_FILE").waitFor();
      await give("model-file", model("even"));
      await page.locator("#model-name strong").waitFor({ timeout: SLOW });
      expect(await page.locator("#faults").innerText()).toBe("");
      const cut = join(folder, "cut.png");
      await writeFile(cut, "\x89PNG");
      await give("photo-files", cut);
      await give("photo-files", photo());
      await page.locator(".task").first().waitFor({ timeout: SLOW });
      expect(await page.locator(".card .fault code").allInnerTexts()).toEqual(["E_IMG_FORMAT"]);
      expect(complaints).toEqual([]);
    },
    SLOW,
  );

  test(
    "computes by WebGPU where it says the same, and by WASM with a word where it does not",
    async () => {
      await page.locator("#webgpu:enabled").waitFor();
      await page.locator("label[for=webgpu]").click();
      await give("model-file", model("even"));
      await give("photo-files", photo());
      await page.getByText("ms by WebGPU").waitFor({ timeout: SLOW });
      expect(await page.locator("#provider-note").innerText()).toBe("");
      await give("model-file", model("odd"));
      await page.getByText("ms by WASM").waitFor({ timeout: SLOW });
      expect(await page.locator("#provider-note").innerText()).toMatch(
        /WebGPU computes other numbers.*: WASM computes/,
      );
      expect(await page.locator("#wasm").isChecked()).toBe(true);
    },
    SLOW,
  );

  test(
    "without WebGPU says so",
    async () => {
      await using plain = await openBrowser();
      const other = await plain.page();
      await other.goto(server.address);
      await other.getByText("WebGPU finds no graphics device here: WASM computes.").waitFor();
      expect(await other.locator("#webgpu").isDisabled()).toBe(true);
    },
    SLOW,
  );
});
