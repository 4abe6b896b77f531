// @ts-check
// The worker behind train.js: reads bundle and photos, and trains, so that the page stays alive.
import { ClientError, faultOf, firstLineOf } from "./errors.js";
import { readImage } from "./reader.js";
import { readBundle } from "./train/bundle.js";
import { readPhotos } from "./train/photos.js";
import { labelsOf, Trainer } from "./train/trainer.js";

/**
 * @typedef {typeof import("onnxruntime-web")} Runtime
 * @typedef {import("./train/bundle.js").Bundle} Bundle
 * @typedef {import("./train/bundle.js").Graph} Graph
 * @typedef {import("./train/photos.js").ChosenFile} ChosenFile
 * @typedef {import("./train/stateFile.js").StateTensor} StateTensor
 * @typedef {import("./train/table.js").Table} Table
 * @typedef {import("./train/trainer.js").Figures} Figures
 * @typedef {"wasm" | "webgpu"} Provider
 * @typedef {{ epochs: number, provider: Provider, runtime: string, threads: number }} TrainOptions
 * `runtime`: onnxruntime-web's folder
 */

/** By what a tensor may differ after a step between WASM and WebGPU, as a share of its norm. */
const STATE_SLACK = 1e-2;
/** Milliseconds between two looks whether a message has come. */
const LOOK_MS = 50;
const MOST_LISTED = 100;

/**
 * What this worker holds, as far as it has come.
 * @type {{ files?: Map<string, Blob>, bundle?: Bundle, data?: { table: Table, images: Uint8Array[] },
 *   trainer?: Trainer, driver: string, isStopped: boolean }}
 */
const held = { driver: "", isStopped: false };

const ACTIONS = { bundle: openBundle, photos: openPhotos, train, save };

self.addEventListener("message", async ({ data }) => {
  if (data.action === "stop") {
    held.isStopped = true;
    return;
  }
  try {
    const act = ACTIONS[/** @type {keyof typeof ACTIONS} */ (data.action)];
    self.postMessage({ result: await act(data.value) });
  } catch (error) {
    self.postMessage({ fault: faultOf(error) });
  }
});

/** @param {readonly ChosenFile[]} files */
async function openBundle(files) {
  delete held.bundle;
  delete held.data;
  delete held.trainer;
  const manifest = files.find(({ path }) => /(^|\/)manifest\.json$/.test(path));
  if (!manifest)
    throw new ClientError("E_FILE", "there is no manifest.json among the files: choose a bundle's folder");
  const folder = manifest.path.slice(0, -"manifest.json".length);
  held.files = new Map(files.map(({ path, file }) => [path.slice(folder.length), file]));
  held.bundle = await readBundle(readFile);
  for (const { file } of held.bundle.used) await readFile(file);
  const { tasks, batchSize, preprocessing, spec } = held.bundle.manifest;
  const { height, width, greyscale } = preprocessing;
  const trained = held.bundle.manifest.state.filter((/** @type {any} */ each) => each.group === "parameter");
  const count = trained.reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  return {
    ...{ tasks, batchSize, epochs: spec.epochs, size: `${width}x${height}${greyscale ? ", grey" : ""}` },
    ...{ parameters: count, hasTrunk: held.bundle.trunk !== undefined },
  };
}

/** @param {string} name */
async function readFile(name) {
  const file = held.files?.get(name);
  if (!file) throw new ClientError("E_FILE", `${name} is missing in the bundle's folder`);
  return new Uint8Array(await file.arrayBuffer());
}

/**
 * Reads the table and every photo; those that cannot be read are left out.
 * @param {readonly ChosenFile[]} files
 */
async function openPhotos(files) {
  delete held.data;
  delete held.trainer;
  const { manifest } = need(held.bundle);
  const { table, photos } = await readPhotos(files, manifest);
  const images = [];
  const rows = [];
  const faults = [];
  const preprocessing = { ...manifest.preprocessing, anySize: false };
  for (const [i, { path, file }] of photos.entries()) {
    try {
      const { data } = await readImage(file, /** @type {any} */ ({ preprocessing }));
      images.push(data);
      rows.push(table.rows[i] ?? {});
    } catch (error) {
      faults.push({ path, ...faultOf(error) });
    }
    self.postMessage({ progress: { done: i + 1, total: photos.length } });
  }
  if (rows.length === 0)
    throw new ClientError("E_IMG_FORMAT", `no photo can be read: ${faults[0]?.path}: ${faults[0]?.message}`);
  const kept = { ...table, rows };
  // A table that does not fit is told before training.
  labelsOf(need(held.bundle), kept);
  const stepsPerEpoch = Math.ceil(rows.length / manifest.batchSize);
  held.data = { table: kept, images };
  return {
    rows: rows.length,
    stepsPerEpoch,
    file: table.file,
    leftOut: faults.length,
    faults: faults.slice(0, MOST_LISTED),
  };
}

/**
 * Trains until so many epochs are done, or `stop` comes.
 * @param {TrainOptions} options
 */
async function train({ epochs, provider, runtime, threads }) {
  held.isStopped = false;
  const { data } = held;
  if (!data) throw new ClientError("E_USAGE", "there are no photos yet");
  let note = "";
  if (!held.trainer) {
    const opened = await openTrainer({ provider, runtime, threads });
    held.trainer = opened.trainer;
    note = opened.note;
    self.postMessage({ note });
  }
  const { trainer } = held;
  const end = epochs * trainer.stepsPerEpoch;
  const { batchSize } = need(held.bundle).manifest;
  const [began, first] = [performance.now(), trainer.steps];
  let looked = began;
  while (trainer.steps < end && !held.isStopped) {
    const figures = await trainer.step();
    refuseDiverged(figures, trainer.steps);
    const now = performance.now();
    const rate = ((trainer.steps - first) * batchSize * 1000) / (now - began);
    self.postMessage({ step: { steps: trainer.steps, end, figures, rate } });
    if (now - looked < LOOK_MS) continue;
    await new Promise((resolve) => setTimeout(resolve));
    looked = performance.now();
  }
  return { steps: trainer.steps, isStopped: trainer.steps < end };
}

/** @param {Figures} figures @param {number} step */
function refuseDiverged(figures, step) {
  for (const [task, { loss_sum: sum = 0 }] of figures)
    if (!Number.isFinite(sum))
      throw new ClientError(
        "E_DIVERGED",
        `step ${step}: the loss of ${JSON.stringify(task)} is no number: a lower rate may help`,
      );
}

/**
 * A trainer at its first step, and what is to be said of it. What WebGPU cannot run, or computes otherwise,
 * WASM trains: each with its own build of ONNX Runtime, of which the one for WebGPU has fewer operators.
 * @param {Omit<TrainOptions, "epochs">} options
 */
async function openTrainer({ provider, runtime, threads }) {
  const make = async (/** @type {Provider} */ own) => {
    const ort = await loadRuntime(new URL(`ort.${own}.min.mjs`, runtime).href, threads);
    const { table, images } = need(held.data);
    const open = (/** @type {Graph} */ graph) => openGraph(ort, graph, own);
    const trainer = new Trainer(need(held.bundle), table, { Tensor: ort.Tensor, open }, images);
    await trainer.prepare((done, total) => self.postMessage({ features: { done, total } }));
    held.driver = `train.html, onnxruntime-web ${ort.env.versions.web ?? ""}, ${own}`;
    return trainer;
  };
  if (provider === "wasm") return { trainer: await make("wasm"), note: "" };
  try {
    const [fast, sure] = [await make("webgpu"), await make("wasm")];
    await fast.step();
    await sure.step();
    compareStates(fast.state, sure.state);
    return { trainer: await make("webgpu"), note: "WebGPU takes the first step as WASM does." };
  } catch (error) {
    const trainer = await make("wasm");
    return { trainer, note: `WASM trains: WebGPU does not take this bundle here. ${firstLineOf(error)}` };
  }
}

/**
 * Throws where a step has made other numbers: gradients may be wrong where losses are right.
 * @param {ReadonlyMap<string, StateTensor>} found
 * @param {ReadonlyMap<string, StateTensor>} wanted
 */
function compareStates(found, wanted) {
  for (const [name, { data }] of wanted) {
    const other = found.get(name)?.data ?? [];
    let [difference, size] = [0, 0];
    for (const [i, value] of data.entries()) {
      difference += (Number(other[i]) - Number(value)) ** 2;
      size += Number(value) ** 2;
    }
    const share = Math.sqrt(difference) / Math.max(Math.sqrt(size), Number.MIN_VALUE);
    if (difference !== 0 && !(share <= STATE_SLACK))
      throw new Error(`After one step its ${name} is off by ${(100 * share).toPrecision(2)} % of its norm`);
  }
}

/**
 * @param {string} runtime address of onnxruntime-web's module
 * @param {number} threads
 * @returns {Promise<Runtime>}
 */
async function loadRuntime(runtime, threads) {
  /** @type {Runtime} */
  const ort = await import(runtime).catch((cause) => {
    throw new ClientError("E_ORT_LOAD", `onnxruntime-web is not at ${runtime}: ${firstLineOf(cause)}`);
  });
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL(".", runtime).href;
  return ort;
}

/** @param {Runtime} ort @param {Graph} graph @param {Provider} provider */
async function openGraph(ort, { file }, provider) {
  const constants = held.files?.get("constants.bin");
  const externalData = constants
    ? [{ path: "constants.bin", data: new Uint8Array(await constants.arrayBuffer()) }]
    : [];
  const options = { executionProviders: [provider], externalData };
  return await ort.InferenceSession.create(await readFile(file), options).catch((cause) => {
    throw new ClientError("E_MODEL_PARSE", `${file}: ONNX Runtime cannot open it: ${firstLineOf(cause)}`);
  });
}

/** The state as a file. */
async function save() {
  if (!held.trainer) throw new ClientError("E_USAGE", "nothing is trained yet");
  return held.trainer.save(held.driver);
}

/** @template T @param {T | undefined} value @returns {T} */
function need(value) {
  if (value === undefined) throw new ClientError("E_USAGE", "there is no bundle yet");
  return value;
}
