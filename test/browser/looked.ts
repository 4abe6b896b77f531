// What a test sees of a page in the browser: errors, requests, charts, text that is cut off, pixels.

import { pathToFileURL } from "node:url";
import sharp from "sharp";
import type { PageLook, TestBrowser } from "./browser.ts";

/** A page as it was shown. */
export interface LookedPage {
  /** Errors and warnings of the console, and errors of scripts. */
  readonly complaints: readonly string[];
  /** What was asked for beside the page itself and what lies in it. */
  readonly requests: readonly string[];
  readonly scripts: number;
  /** Of each chart its size, and how many of its shapes have one. */
  readonly charts: readonly { readonly width: number; readonly height: number; readonly shapes: number }[];
  /** Texts of charts that reach beyond their chart, and elements whose content is wider than they are. */
  readonly cut: readonly string[];
  /** Pictures that were not decoded. */
  readonly broken: readonly string[];
  /** Columns that the page is wider than the window. */
  readonly overflow: number;
  readonly text: string;
  readonly png: Buffer;
}

// In the browser. Scripts as text: the tests are compiled without the types of a page.
const CHARTS = `[...document.querySelectorAll(".chart svg")].map((svg) => {
  const { width, height } = svg.getBoundingClientRect();
  const shapes = [...svg.querySelectorAll("path, polyline, rect, circle")].filter((shape) => {
    const box = shape.getBoundingClientRect();
    return box.width + box.height > 2;
  });
  return { width, height, shapes: shapes.length };
})`;
const CUT = `[
  ...[...document.querySelectorAll(".chart svg")].flatMap((svg) => {
    const outer = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].filter((text) => {
      const box = text.getBoundingClientRect();
      return box.width > 0 && (box.left < outer.left - 1 || box.right > outer.right + 1 ||
        box.top < outer.top - 1 || box.bottom > outer.bottom + 1);
    }).map((text) => "chart text: " + text.textContent);
  }),
  ...[...document.querySelectorAll("h1, h2, h3, p, li, figcaption, .fact, .key, .note, td, .card, pre")]
    .filter((element) => !element.closest(".matrix") && element.scrollWidth > element.clientWidth + 1 &&
      element.clientWidth > 0)
    .map((element) => element.tagName + "." + element.className + ": " + element.textContent.slice(0, 80)),
]`;
const BROKEN = `[...document.images].filter((image) => image.naturalWidth === 0).map((image) => image.alt)`;

/** Opens a file and looks at it. */
export async function lookAt(browser: TestBrowser, file: string, look: PageLook = {}): Promise<LookedPage> {
  const page = await browser.page(look);
  try {
    const [complaints, requests]: [string[], string[]] = [[], []];
    const url = pathToFileURL(file).href;
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => {
      if (request.url() !== url && !request.url().startsWith("data:")) requests.push(request.url());
    });
    await page.goto(url, { waitUntil: "load" });
    const ask = <T>(script: string): Promise<T> => page.evaluate(script);
    return {
      ...{ complaints, requests },
      scripts: await ask<number>("document.scripts.length"),
      charts: await ask<LookedPage["charts"]>(CHARTS),
      cut: await ask<string[]>(CUT),
      broken: await ask<string[]>(BROKEN),
      overflow: await ask<number>("document.documentElement.scrollWidth - window.innerWidth"),
      text: await ask<string>("document.body.innerText"),
      png: await page.screenshot({ fullPage: true }),
    };
  } finally {
    await page.context().close();
  }
}

/** Mean brightness, from 0 to 255, and how far pixels differ from it. */
export async function brightnessOf(png: Buffer): Promise<{ readonly mean: number; readonly spread: number }> {
  const { channels } = await sharp(png).greyscale().stats();
  return { mean: channels[0]?.mean ?? 0, spread: channels[0]?.stdev ?? 0 };
}
