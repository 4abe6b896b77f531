// The browser's client as a command like that of the other languages: a Chromium opens its page, from a
// server of its own, and the page's modules open the model and read the pictures.
//
//     node browserCommand.js [--pixels DIR] [--heatmap DIR] [--provider wasm|webgpu] MODEL IMAGE...
//
// With --browser ADDRESS it is one that another process has started, which takes seconds off each call.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Page } from "playwright-core";
import { joinBrowser, openBrowser } from "../browser/browser.ts";
import { clientFolder } from "./client.ts";

/** What the page's modules say of one file. */
type Said<Result> = { readonly result: Result } | { readonly fault: { code: string; message: string } };

interface Opened {
  readonly provider: string;
  readonly note?: string;
}

interface Predicted {
  readonly answers: readonly object[];
  /** Base64: of uint8, and of float32. */
  readonly pixels: string;
  readonly heatmaps: readonly { readonly task: string; readonly data: string }[];
}

/** Runs in the page: `files` are of its input, and `held` keeps the model between two calls. */
const SETUP = `
  document.body.innerHTML = '<input type="file" id="given">';
  const given = () => document.getElementById("given").files[0];
  const text = ({ buffer, byteOffset, byteLength }) => {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    let binary = "";
    for (let i = 0; i < bytes.length; i += 8192)
      binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(binary);
  };
  const said = async (act) => {
    try {
      return { result: await act() };
    } catch (error) {
      const { code = "crash", message, stack } = error;
      return { fault: { code, message: code === "crash" ? stack : message } };
    }
  };
  globalThis.openModel = (provider) => said(async () => {
    const { Model } = await import("/model.js");
    globalThis.held = await Model.open(await given().arrayBuffer(), { provider });
    return { provider: held.provider, note: held.note };
  });
  globalThis.predictImage = () => said(async () => {
    const { answers, pixels, heatmaps } = await held.predict(given());
    const maps = heatmaps.map(({ task, data }) => ({ task, data: text(data) }));
    return { answers, pixels: text(pixels.data), heatmaps: maps };
  });`;

async function main(words: readonly string[]): Promise<void> {
  const text = { type: "string" } as const;
  const options = { pixels: text, heatmap: text, provider: { ...text, default: "wasm" }, browser: text };
  const { values, positionals } = parseArgs({ args: [...words], options, allowPositionals: true });
  const [model = "", ...images] = positionals;
  const bytes = await contentOf(model);
  if (!bytes) return;
  const { serve } = await import(pathToFileURL(join(clientFolder("browser"), "serve.mjs")).href);
  const server = await serve();
  const graphics = values.provider === "webgpu";
  await using browser = await (values.browser ? joinBrowser(values.browser) : openBrowser({ graphics }));
  const page = await browser.page();
  try {
    await page.goto(server.address);
    await page.evaluate(SETUP);
    const opened = await ask<Opened>(page, model, bytes, `openModel(${JSON.stringify(values.provider)})`);
    if ("fault" in opened) return complain(opened.fault.code, opened.fault.message);
    if (opened.result.note) console.error(`note: ${opened.result.note}`);
    for (const [i, image] of images.entries()) {
      const content = await contentOf(image);
      if (!content) continue;
      const said = await ask<Predicted>(page, image, content, "predictImage()");
      if ("fault" in said) {
        complain(said.fault.code, `${image}: ${said.fault.message}`);
        continue;
      }
      const { answers, pixels, heatmaps } = said.result;
      if (values.pixels) await writeFile(join(values.pixels, `${i}.raw`), Buffer.from(pixels, "base64"));
      for (const { task, data } of values.heatmap ? heatmaps : [])
        await writeFile(join(values.heatmap ?? "", `${i}-${task}.raw`), Buffer.from(data, "base64"));
      console.log(JSON.stringify({ image, tasks: answers }));
    }
  } finally {
    server.close();
  }
}

/** Gives a file to the page, and what its script says of it. */
async function ask<Result>(page: Page, path: string, buffer: Buffer, script: string): Promise<Said<Result>> {
  await page.setInputFiles("#given", { name: path, mimeType: "application/octet-stream", buffer });
  return await page.evaluate<Said<Result>>(script);
}

async function contentOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    return complain("E_FILE", `${path}: ${error instanceof Error ? error.message : error}`);
  }
}

function complain(code: string, message: string): undefined {
  console.error(`error ${code}: ${message}`);
  process.exitCode = 2;
}

await main(process.argv.slice(2));
