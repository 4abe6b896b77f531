// The page that trains (examples/clients/browser/train.html) in a real Chromium: what it trains equals
// mttc's weights, what it saves becomes a run that goes on and is exported, and what cannot be trained is
// told.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HAS_BROWSER, openBrowser, type TestBrowser } from "../browser/browser.ts";
import { runCli } from "../cli/runCli.ts";
import type { TinyData } from "../cli/tinyData.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { DRIVER_MOVED, DRIVER_WEIGHTS } from "../tolerances.ts";
import { caseData, distance, readState } from "./trainers/trainingCases.ts";

const { serve } = (await import(
  pathToFileURL(join(PROJECT_ROOT, "examples/clients/browser/serve.mjs")).href
)) as { serve: () => Promise<{ address: string; close: () => void }> };

/**
 * Heads on a frozen trunk's features, whose weights lie in constants.bin, a small net of which all is
 * trained, and heads whose step has all the rounds there are; 12 steps of each.
 */
const SPECS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  frozen: {
    ...{ fcn: "{layers: [8, p, 16]}", train_fcn: "false", cache_features: "true", task_weights: "[1, 1]" },
    ...{ shared_layers: "[8, d]", task_layers: "[6]", lr: "0.01", epochs: "4" },
  },
  whole: { batchnorm: "true", augment: "{mask: 0.5, hue_delta: 0.1}", accumulate: "2", epochs: "4" },
  rounds: {
    ...{ tasks: "[colour, {name: marks, kind: tags}]", combine: "famo", task_weights: "null" },
    ...{ accumulate: "2", train_fcn: "false", cache_features: "true", lr: "0.01", epochs: "4" },
  },
};
const WAIT = { timeout: 120_000 };

describe.skipIf(!HAS_BROWSER)("the page that trains", { timeout: 300_000 }, () => {
  let browser: TestBrowser;
  let server: Awaited<ReturnType<typeof serve>>;
  const data = new Map<string, TinyData>();
  beforeAll(async () => {
    browser = await openBrowser();
    server = await serve();
    for (const [name, spec] of Object.entries(SPECS)) data.set(name, await preparedData(spec));
  }, 300_000);
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    server?.close();
    for (const each of data.values()) await each[Symbol.asyncDispose]();
  });

  const folderOf = (name: string): string => data.get(name)?.folder ?? "";
  const open = async (): Promise<Page> => {
    const page = await browser.page();
    await page.goto(`${server.address}train.html`);
    return page;
  };
  const choose = async (page: Page, folder: string, photos = "photos"): Promise<void> => {
    await page.setInputFiles("#bundle-files", join(folder, "bundle"));
    await page.getByText("bundle: ready.").waitFor(WAIT);
    await page.setInputFiles("#photo-files", join(folder, photos));
  };
  const said = (page: Page): Promise<string> => page.locator("#faults").innerText();

  test.each(Object.keys(SPECS))(
    "trains the weights of mttc train, stopped and gone on with: %s",
    async (name) => {
      const folder = folderOf(name);
      const page = await open();
      await choose(page, folder);
      await page.getByText("36 labelled photos, by photos/train.csv.").waitFor(WAIT);
      await page.fill("#epochs", "1");
      await page.click("#start");
      await page.getByText(/^Finished: 3 steps/).waitFor(WAIT);
      await page.fill("#epochs", "4");
      await page.getByRole("button", { name: "Train on" }).click();
      await page.getByText(/^Finished: 12 steps/).waitFor(WAIT);
      await expectWeights(page, folder);
      expect(await page.locator("#charts svg").count()).toBe(2);
      await page.close();
      for (const args of [
        ["adopt", "spec.yml", "page.safetensors", "-o", "adopted"],
        ["train", "adopted", "--resume", "--epochs", "5", "--no-report"],
        ["export", "adopted"],
      ]) {
        const { code, stderr } = await runCli(folder, args);
        expect(code, stderr).toBe(0);
      }
    },
  );

  test("trains by WASM, saying why, where WebGPU does not do what WASM does", async () => {
    const folder = folderOf("frozen");
    expect(existsSync(join(folder, "bundle", "constants.bin"))).toBe(true);
    await using other = await openBrowser({ graphics: true });
    const page = await other.page();
    await page.goto(`${server.address}train.html`);
    await choose(page, folder);
    await page.getByText("36 labelled photos").waitFor(WAIT);
    await page.getByText("WebGPU", { exact: true }).click();
    await page.click("#start");
    await page.getByText(/^Finished: 12 steps/).waitFor(WAIT);
    expect(await page.locator("#provider-note").innerText()).toMatch(
      /^WASM trains: WebGPU does not take this/,
    );
    await expectWeights(page, folder);
  });

  test("stops at once, and stays alive while it trains", async () => {
    const page = await open();
    await choose(page, folderOf("frozen"));
    await page.getByText("36 labelled photos").waitFor(WAIT);
    await page.fill("#epochs", "100000");
    await page.click("#start");
    await page.getByText(/^Epoch \d+, step \d+ of 300000/).waitFor(WAIT);
    const began = Date.now();
    await page.click("#stop");
    await page.getByText(/^Stopped: \d+ steps/).waitFor(WAIT);
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(await page.locator("#save").isEnabled()).toBe(true);
    await page.close();
  });

  test("says what is no bundle, what lacks, and which photo cannot be read", async () => {
    const folder = folderOf("frozen");
    const broken = join(folder, "broken");
    cpSync(join(folder, "bundle"), broken, { recursive: true });
    const page = await open();
    const manifest = readFileSync(join(broken, "manifest.json"), "utf8");
    for (const [content, expected] of [
      [
        manifest.replace('"version": 2', '"version": 9'),
        /^E_BUNDLE manifest.json: expected version 2, found 9$/,
      ],
      [manifest.slice(0, 999), /^E_BUNDLE manifest.json: is not JSON$/],
    ] as const) {
      writeFileSync(join(broken, "manifest.json"), content);
      await page.setInputFiles("#bundle-files", broken);
      await page.getByText("That is no bundle").waitFor(WAIT);
      expect(await said(page)).toMatch(expected);
    }
    writeFileSync(join(broken, "manifest.json"), manifest);
    rmSync(join(broken, "train_features.onnx"));
    await page.setInputFiles("#bundle-files", broken);
    await page.locator(".fault").getByText("train_features.onnx is missing").waitFor(WAIT);
    expect(await page.locator("#start").isEnabled()).toBe(false);

    const photos = join(folder, "odd");
    cpSync(join(folder, "photos"), photos, { recursive: true });
    writeFileSync(join(photos, "images", "train-3.png"), "no image");
    await choose(page, folder, "odd");
    await page.getByText("35 labelled photos").waitFor(WAIT);
    expect(await page.locator("#left-out").innerText()).toMatch(
      /^1 photo cannot be read and is left out.*\n.*images\/train-3\.png: /,
    );
    writeFileSync(join(photos, "train.csv"), "file,colour,its shape\nimages/train-1.png,mauve,dot\n");
    await page.setInputFiles("#photo-files", photos);
    await page.locator(".fault").waitFor(WAIT);
    expect(await said(page)).toMatch(/^E_LABEL .*row 1: task "colour": "mauve" is no class of it$/);
    await page.close();
  });
});

/** What the page saves is what mttc has trained, and not what training began with. */
async function expectWeights(page: Page, folder: string): Promise<void> {
  const out = join(folder, "page.safetensors");
  const coming = page.waitForEvent("download");
  await page.click("#save");
  await (await coming).saveAs(out);
  const before = readState(join(folder, "bundle", "state.safetensors"));
  const wanted = readState(join(folder, "run", "checkpoints", "epoch-0004", "state.safetensors"));
  const found = readState(out);
  expect([...found.keys()]).toEqual([...wanted.keys()]);
  for (const [tensor, value] of wanted)
    expect(distance(found.get(tensor), value), tensor).toBeLessThanOrEqual(DRIVER_WEIGHTS);
  const moved = [...wanted].filter(([tensor, value]) => distance(before.get(tensor), value) > DRIVER_MOVED);
  expect(moved.length).toBeGreaterThan(wanted.size / 2);
}

/** The tiny data, compiled, trained by mttc, and its photos in a folder of their own. */
async function preparedData(spec: Readonly<Record<string, string>>): Promise<TinyData> {
  const data = await caseData(spec);
  const { folder } = data;
  for (const args of [
    ["compile", "spec.yml", "-o", "bundle"],
    ["train", "spec.yml", "--no-report"],
  ]) {
    const { code, stderr } = await runCli(folder, args);
    expect(code, stderr).toBe(0);
  }
  mkdirSync(join(folder, "photos"));
  cpSync(join(folder, "train.csv"), join(folder, "photos", "train.csv"));
  cpSync(join(folder, "images"), join(folder, "photos", "images"), { recursive: true });
  return data;
}
