// The client of examples/clients/rust: the crates ort, image, mozjpeg, libwebp-sys and lcms2.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { CMYK_READ_MEAN } from "../tolerances.ts";
import { buildStep, type Client, clientFolder } from "./client.ts";

const FOLDER = clientFolder("rust");
const FETCH_MS = 120_000;

export const rustClient: Client = {
  language: "Rust",
  folder: "rust",
  needs: ["cargo", "cc"],
  mean: { "cmyk.jpg": CMYK_READ_MEAN },
  build: async (cache) => {
    const missing = missingCrates();
    return missing === undefined ? [join(await buildRust(cache), "predict")] : { missing };
  },
};

/** Why the package cannot be built on this machine; undefined where cargo has its crates or gets them. */
export function missingCrates(): string | undefined {
  const options = { cwd: FOLDER, timeout: FETCH_MS };
  const { status } = spawnSync("cargo", ["fetch", "--locked", "--quiet"], options);
  return status === 0 ? undefined : "no cargo, or no crates to be had";
}

/** Builds the package; the folder of its programs. */
export async function buildRust(cache: string): Promise<string> {
  const words = ["cargo", "build", "--release", "--locked", "--quiet"];
  await buildStep(words, { cwd: FOLDER, env: { CARGO_TARGET_DIR: cache } });
  return join(cache, "release");
}
