// The client of examples/clients/browser: onnxruntime-web in a Chromium.
import { join } from "node:path";
import { HAS_BROWSER, shareBrowser } from "../browser/browser.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import type { Client } from "./client.ts";

export const browserClient: Client = {
  language: "Browser (WASM)",
  folder: "browser",
  needs: [],
  build: async () => {
    if (!HAS_BROWSER) return { missing: "the tests have no browser on this platform" };
    const command = join(PROJECT_ROOT, "dist", "test", "clients", "browserCommand.js");
    return [process.execPath, command, "--browser", await shareBrowser()];
  },
  refuses: { "cmyk.jpg": "browsers take CMYK otherwise" },
};
