// @ts-check
// The page's trainer in Node: trains a bundle of `mttc compile` with onnxruntime-web's WASM, and writes the
// state for `mttc adopt`. Images are plain PNGs of the bundle's size.
//   node trainNode.mjs BUNDLE TABLE.csv OUT.safetensors
import { readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { env, InferenceSession, Tensor } from "onnxruntime-web";
import { ClientError } from "./errors.js";
import { readHead } from "./imageFile.js";
import { decodePng } from "./png.js";
import { readBundle } from "./train/bundle.js";
import { rowPath } from "./train/rowPaths.js";
import { parseCsv } from "./train/table.js";
import { Trainer } from "./train/trainer.js";

/** @typedef {import("./train/bundle.js").Manifest} Manifest */

// Threads would change the order of sums.
env.wasm.numThreads = 1;

/** @param {string} path */
async function read(path) {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw new ClientError("E_FILE", `${path}: cannot be read`, cause);
  }
}

/**
 * @param {string} path
 * @param {Manifest["preprocessing"]} form
 */
async function readPixels(path, form) {
  const bytes = await read(path);
  try {
    const { format } = readHead(bytes);
    const { height, width, channels, data, icc } = await decodePng(bytes);
    const isPlain =
      format === "png" && !icc && channels === (form.greyscale ? 1 : channels) && channels % 2 === 1;
    if (!isPlain || height !== form.height || width !== form.width)
      throw new ClientError("E_IMG_FORMAT", `expected a plain PNG of ${form.width}x${form.height}`);
    return Uint8Array.from({ length: height * width * form.channels }, (_, i) => {
      const pixel = Math.floor(i / form.channels);
      return data[channels === 1 ? pixel : i] ?? 0;
    });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw new ClientError(error.code, `${path}: ${error.message}`, error);
  }
}

/** @param {readonly string[]} args */
async function main([folder, tableFile, out]) {
  if (!folder || !tableFile || !out)
    throw new ClientError("E_USAGE", "expected BUNDLE TABLE.csv OUT.safetensors");
  const bundle = await readBundle((name) => read(join(folder, name)));
  const table = parseCsv(new TextDecoder().decode(await read(tableFile)), tableFile);
  const { preprocessing, spec } = bundle.manifest;
  const constants = await read(join(folder, "constants.bin")).catch(() => undefined);
  const externalData = constants ? [{ path: "constants.bin", data: constants }] : [];
  const paths = table.rows.map((row) => join(dirname(tableFile), rowPath(row, table, spec)));
  const images = [];
  for (const path of paths) images.push(await readPixels(path, preprocessing));
  const trainer = new Trainer(
    bundle,
    table,
    { Tensor, open: (graph) => open(join(folder, graph.file), externalData) },
    images,
  );
  await trainer.prepare();
  while (trainer.steps < spec.epochs * trainer.stepsPerEpoch) await trainer.step();
  const temporary = `${out}.${process.pid}.part`;
  await writeFile(temporary, trainer.save(`trainNode.mjs, onnxruntime-web ${env.versions.web}`));
  await rename(temporary, out);
  console.log(`${trainer.steps} steps are trained: ${out}`);
}

/**
 * @param {string} file
 * @param {{ path: string, data: Uint8Array }[]} externalData
 */
async function open(file, externalData) {
  const bytes = await read(file);
  try {
    return await InferenceSession.create(bytes, { externalData, logSeverityLevel: 4 });
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new ClientError("E_MODEL_PARSE", `${file}: ${said.split("\n")[0]}`, cause);
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ClientError)) throw error;
  console.error(`error ${error.code}: ${error.message}`);
  process.exitCode = 2;
}
