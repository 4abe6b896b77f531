// A real Chromium for tests that look at pages: the binary inside npm's @sparticuz/chromium, driven by
// playwright-core. It is unpacked once under node_modules/.cache with its fonts and the libraries that a bare
// system lacks; nothing is installed outside the project.
import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { type Browser, chromium, type LaunchOptions, type Page } from "playwright-core";
import { packedFile, packedFiles } from "./chromiumPackage.ts";

const CACHE = path.resolve("node_modules/.cache/mttc-chromium-147-graphics");
const PACKED = "chromium.br";
/** Libraries, fonts, and a graphics device in software, which Chromium looks for beside itself. */
const ARCHIVES = ["al2023.tar.br", "fonts.tar.br", "swiftshader.tar.br"];
/** Arguments without a graphics device, and with SwiftShader behind WebGPU and WebGL. */
const NO_GRAPHICS = ["--disable-gpu"];
const GRAPHICS = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

/** Whether this platform has the browser: Linux on x64 with the package. */
export const HAS_BROWSER =
  process.platform === "linux" && process.arch === "x64" && packedFile(PACKED) !== undefined;

/** How a page is looked at. */
export interface PageLook {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  /** Whether scripts of the page run; they do by default. */
  readonly scripts?: boolean;
}

export interface TestBrowser extends AsyncDisposable {
  readonly browser: Browser;
  /** A new page of a new context. */
  page(look?: PageLook): Promise<Page>;
}

/** Starts the browser; with `graphics` its pages have WebGPU, in software. */
export async function openBrowser({ graphics = false } = {}): Promise<TestBrowser> {
  return testBrowser(await chromium.launch(await launchOptions(graphics)));
}

/** Starts a browser for other processes, which ends with this one; the address for `joinBrowser`. */
export async function shareBrowser(): Promise<string> {
  const server = await chromium.launchServer(await launchOptions(false));
  return server.wsEndpoint();
}

/** A browser that another process shares; closing it closes this process's pages alone. */
export async function joinBrowser(endpoint: string): Promise<TestBrowser> {
  return testBrowser(await chromium.connect(endpoint));
}

async function launchOptions(graphics: boolean): Promise<LaunchOptions> {
  if (!existsSync(CACHE)) await unpack();
  const libraries = [path.join(CACHE, "lib"), process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  return {
    executablePath: path.join(CACHE, "chromium"),
    args: [
      ...["--no-sandbox", "--no-zygote", "--font-render-hinting=none"],
      ...(graphics ? GRAPHICS : NO_GRAPHICS),
    ],
    env: { ...process.env, LD_LIBRARY_PATH: libraries, FONTCONFIG_PATH: CACHE, HOME: CACHE },
  };
}

function testBrowser(browser: Browser): TestBrowser {
  return {
    browser,
    page: async ({ width = 1280, height = 900, dark = false, scripts = true } = {}) => {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: dark ? "dark" : "light",
        javaScriptEnabled: scripts,
      });
      return await context.newPage();
    },
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

async function unpack(): Promise<void> {
  const temporary = `${CACHE}.${process.pid}`;
  await mkdir(temporary, { recursive: true });
  const target = path.join(temporary, "chromium");
  await pipeline(
    createReadStream(packedFile(PACKED) ?? "@sparticuz/chromium is not installed"),
    createBrotliDecompress(),
    createWriteStream(target),
  );
  await chmod(target, 0o755);
  for (const [name, content] of ARCHIVES.flatMap((archive) => [...packedFiles(archive)])) {
    await mkdir(path.dirname(path.join(temporary, name)), { recursive: true });
    await writeFile(path.join(temporary, name), content, { mode: 0o755 });
  }
  await writeFile(path.join(temporary, "fonts.conf"), fontsConfiguration(path.join(CACHE, "fonts")));
  try {
    await rename(temporary, CACHE);
  } catch (error) {
    // Another test process was faster: its files are the same.
    await rm(temporary, { recursive: true });
    if (!existsSync(CACHE)) throw error;
  }
}

/** The package's own names a folder of its own. */
function fontsConfiguration(folder: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${folder}</dir><dir>/usr/share/fonts</dir><cachedir>${folder}/cache</cachedir></fontconfig>
`;
}
