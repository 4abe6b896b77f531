// The client of examples/clients/rust: the crates ort, image, mozjpeg and lcms2.
import { join } from "node:path";
import { CMYK_READ_MEAN } from "../tolerances.ts";
import { buildStep, type Client, clientFolder } from "./client.ts";

export const rustClient: Client = {
  language: "Rust",
  folder: "rust",
  needs: ["cargo", "cc"],
  // The grid of colours in the metadata, linear between them.
  mean: { "cmyk.jpg": CMYK_READ_MEAN },
  build: async (cache) => [join(await buildRust(cache), "predict")],
};

/** Builds the package; the folder of its programs. */
export async function buildRust(cache: string): Promise<string> {
  const words = ["cargo", "build", "--release", "--locked", "--quiet"];
  await buildStep(words, { cwd: clientFolder("rust"), env: { CARGO_TARGET_DIR: cache } });
  return join(cache, "release");
}
