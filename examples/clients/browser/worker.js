// @ts-check
// The worker behind model.js: holds a session of onnxruntime-web, reads images and computes.
import { answerOf } from "./answers.js";
import { ClientError, faultOf, firstLineOf } from "./errors.js";
import { checkSession } from "./metadata.js";
import { readImage } from "./reader.js";

/**
 * @typedef {import("./metadata.js").Metadata} Metadata
 * @typedef {import("./model.js").HeatMap} HeatMap
 * @typedef {import("./model.js").Prediction} Prediction
 * @typedef {typeof import("onnxruntime-web")} Runtime
 *
 * @typedef {object} Opening
 * @property {ArrayBuffer} bytes
 * @property {Metadata} metadata
 * @property {"wasm" | "webgpu"} provider
 * @property {string} runtime address of onnxruntime-web's module
 * @property {number} threads
 *
 * @typedef {object} Opened
 * @property {Runtime} ort
 * @property {import("onnxruntime-web").InferenceSession} session
 * @property {Metadata} metadata
 */

/** By what numbers, and those of heat maps, may differ between two ways to compute. */
const NUMBER_SLACK = 1e-3;
const MAP_SLACK = 0.02;

/** What this worker holds, once it is opened. @type {{ model?: Opened }} */
const held = {};

self.addEventListener("message", async ({ data }) => {
  try {
    const { action } = data;
    const result =
      action === "open" ? await open(data) : action === "probe" ? await probe() : await predict(data.image);
    self.postMessage({ result });
  } catch (error) {
    self.postMessage({ fault: faultOf(error) });
  }
});

/** @param {Opening} opening */
async function open({ bytes, metadata, provider, runtime, threads }) {
  /** @type {Runtime} */
  const ort = await import(runtime).catch((cause) => {
    throw new ClientError("E_ORT_LOAD", `onnxruntime-web is not at ${runtime}: ${firstLineOf(cause)}`);
  });
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL(".", runtime).href;
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] }).catch(
    (cause) => {
      throw new ClientError("E_MODEL_PARSE", `ONNX Runtime cannot open the model: ${firstLineOf(cause)}`);
    },
  );
  checkSession(metadata, infosOf(session.inputMetadata), infosOf(session.outputMetadata));
  held.model = { ort, session, metadata };
}

/** @param {readonly import("onnxruntime-web").InferenceSession.ValueMetadata[]} infos */
function infosOf(infos) {
  return infos.map((info) => (info.isTensor ? info : { name: info.name }));
}

/** Numbers for a noisy image of the model's size, by which two ways to compute are compared. */
async function probe() {
  const { tasks, preprocessing } = opened().metadata;
  const { height, width, channels } = preprocessing;
  // Knuth's multiplicative hash.
  const data = Uint8Array.from(
    { length: height * width * channels },
    (_, i) => Math.imul(i + 1, 2654435761) >>> 24,
  );
  const numbersOf = await run({ height, width, channels, data });
  return tasks.flatMap(({ output, heatmap }) => [
    { numbers: numbersOf(output), slack: NUMBER_SLACK },
    ...(heatmap ? [{ numbers: numbersOf(heatmap.output), slack: MAP_SLACK }] : []),
  ]);
}

/**
 * @param {Blob} file
 * @returns {Promise<Prediction>}
 */
async function predict(file) {
  const { metadata } = opened();
  const pixels = await readImage(file, metadata);
  const begin = performance.now();
  const numbersOf = await run(pixels);
  const milliseconds = performance.now() - begin;
  const answers = metadata.tasks.map((task) => answerOf(task, numbersOf(task.output)));
  const heatmaps = metadata.tasks.flatMap(({ name, heatmap }) =>
    heatmap ? [heatMapOf(name, heatmap, numbersOf(heatmap.output))] : [],
  );
  return { answers, heatmaps, pixels, milliseconds };
}

/**
 * @param {string} task
 * @param {{ height: number, width: number }} size
 * @param {Float32Array} data
 * @returns {HeatMap}
 */
function heatMapOf(task, { height, width }, data) {
  if (data.length !== height * width || !data.every((value) => value >= 0 && value <= 1.001))
    throw new ClientError("E_MODEL_META", `the heat map of task ${JSON.stringify(task)} is not one`);
  return { task, height, width, data };
}

function opened() {
  if (!held.model) throw new ClientError("E_ORT", "no model is open");
  return held.model;
}

/**
 * Runs the model; the numbers of an output by its name.
 * @param {import("./resize.js").Pixels} pixels
 */
async function run({ data, height, width, channels }) {
  const { ort, session } = opened();
  const image = new ort.Tensor("uint8", data, [1, height, width, channels]);
  const outputs = await session.run({ image }).catch((cause) => {
    throw new ClientError("E_ORT", `ONNX Runtime cannot run the model: ${firstLineOf(cause)}`);
  });
  return (/** @type {string} */ name) =>
    /** @type {Float32Array} */ (outputs[name]?.data ?? new Float32Array());
}
