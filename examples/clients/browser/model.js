// @ts-check
// A model that predicts in the tab: what a page of your own needs.
//
//     import { Model } from "./model.js";
//     const model = await Model.open(await file.arrayBuffer(), { provider: "webgpu" });
//     const { answers } = await model.predict(photo);
//
// Reading and computing are done by a worker, so that the page stays alive; a model that does not come to
// an end is ended with its worker.
import { ClientError } from "./errors.js";
import { readMetadata } from "./metadata.js";

/**
 * @typedef {import("./answers.js").Answer} Answer
 * @typedef {import("./metadata.js").Metadata} Metadata
 * @typedef {import("./resize.js").Pixels} Pixels
 * @typedef {"wasm" | "webgpu"} Provider
 *
 * @typedef {object} HeatMap how much each place of the image speaks for the answer
 * @property {string} task
 * @property {number} height
 * @property {number} width
 * @property {Float32Array} data [height,width], from 0 to 1
 *
 * @typedef {object} Prediction
 * @property {Answer[]} answers of each task, in the model's order
 * @property {HeatMap[]} heatmaps of tasks whose file draws them
 * @property {Pixels} pixels what the model was given
 * @property {number} milliseconds that the model took, without reading the image
 *
 * @typedef {{ numbers: Float32Array, slack: number }[]} Probe outputs, and how far off rounding may be
 */

const OPEN_SECONDS = 120;
const PREDICT_SECONDS = 60;
/** More threads help small models no further. */
const MOST_THREADS = 4;

export class Model {
  #worker;
  /** What the file says of itself. @type {Metadata} */
  metadata;
  /** On which it runs. @type {Provider} */
  provider;
  /** Why it does not run on WebGPU, where that was asked for. @type {string | undefined} */
  note;

  /**
   * @param {WorkerCalls} worker
   * @param {Metadata} metadata
   * @param {Provider} provider
   * @param {string} [note]
   */
  constructor(worker, metadata, provider, note) {
    this.#worker = worker;
    this.metadata = metadata;
    this.provider = provider;
    this.note = note;
  }

  /**
   * Opens the bytes of a file that `mttc export` wrote. E_MODEL_PARSE, E_MODEL_META, and E_ORT for a model
   * that does not open in time or in memory. Where WebGPU is asked for and cannot be had, WASM is used, and
   * `note` says why.
   * @param {ArrayBuffer} bytes
   * @param {{ provider?: Provider }} [options]
   */
  static async open(bytes, { provider = "wasm" } = {}) {
    const metadata = readMetadata(new Uint8Array(bytes));
    if (provider === "wasm") return await openOn(bytes, metadata, "wasm");
    const missing = await whyNoWebgpu();
    if (missing !== undefined) return await openOn(bytes, metadata, "wasm", missing);
    const slow = await openOn(bytes, metadata, "wasm");
    try {
      const quick = await openOn(bytes, metadata, "webgpu");
      if (await quick.#agrees(slow)) {
        slow.close();
        return quick;
      }
      quick.close();
      slow.note = "WebGPU computes other numbers for this model than WASM";
    } catch (error) {
      slow.note = `WebGPU does not run this model (${textOf(error)})`;
    }
    return slow;
  }

  /**
   * Whether the model's numbers for a noisy image are those of the same model elsewhere, but for rounding.
   * Some of WebGPU's kernels are wrong for some shapes (microsoft/onnxruntime issue 29651).
   * @param {Model} other
   */
  async #agrees(other) {
    const probes = [this, other].map((model) => model.#worker.call("probe", {}, PREDICT_SECONDS));
    /** @type {Probe[]} */
    const [mine = [], its = []] = await Promise.all(probes);
    return mine.every(({ numbers, slack }, i) => farthest(numbers, its[i]?.numbers) <= slack);
  }

  /**
   * What the model says of an image. E_IMG_FORMAT, E_IMG_LIMIT, E_IMG_SIZE, E_IMG_TRUNCATED for a file that
   * cannot be read; E_MODEL_META for numbers that the file did not promise; E_ORT where it fails or does
   * not end, after which the model is closed.
   * @param {Blob} image
   * @returns {Promise<Prediction>}
   */
  async predict(image) {
    return await this.#worker.call("predict", { image }, PREDICT_SECONDS);
  }

  /** Frees the model's memory. */
  close() {
    this.#worker.end();
  }
}

/**
 * The largest difference of two rows of numbers, relative to them where they are over 1.
 * @param {Float32Array} numbers
 * @param {Float32Array} [others]
 */
function farthest(numbers, others) {
  return numbers.reduce((far, value, i) => {
    const difference = Math.abs(value - (others?.[i] ?? Number.NaN)) / Math.max(1, Math.abs(value));
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(far, difference);
  }, 0);
}

/** Why this browser has no WebGPU; undefined where it has. */
export async function whyNoWebgpu() {
  if (!("gpu" in navigator)) return "this browser has no WebGPU";
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  return adapter ? undefined : "WebGPU finds no graphics device here";
}

/**
 * @param {ArrayBuffer} bytes
 * @param {Metadata} metadata
 * @param {Provider} provider
 * @param {string} [note]
 */
async function openOn(bytes, metadata, provider, note) {
  // A page alone, with the headers that serve.mjs sends, may use threads.
  const threads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  // Import maps do not reach into workers.
  const runtime = import.meta.resolve(`onnxruntime-web/${provider}`);
  const worker = new WorkerCalls(new URL("./worker.js", import.meta.url));
  try {
    await worker.call("open", { bytes, metadata, provider, runtime, threads }, OPEN_SECONDS);
    return new Model(worker, metadata, provider, note);
  } catch (error) {
    worker.end();
    throw error;
  }
}

/** Calls of a worker, one after the other, each with an end. */
class WorkerCalls {
  #worker;
  /** @type {((error: ClientError) => void) | undefined} */
  #fail;
  #last = Promise.resolve();
  /** @type {ClientError | undefined} */
  #ended;

  /** @param {URL} url */
  constructor(url) {
    this.#worker = new Worker(url, { type: "module" });
    this.#worker.addEventListener("error", (event) => {
      this.end(`the worker failed: ${event.message || "its script could not be loaded"}`);
    });
  }

  /**
   * @template Result
   * @param {string} action
   * @param {object} message
   * @param {number} seconds after which it is given up
   * @returns {Promise<Result>}
   */
  call(action, message, seconds) {
    const result = this.#last.then(() => this.#send(action, message, seconds));
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /**
   * @param {string} action
   * @param {object} message
   * @param {number} seconds
   * @returns {Promise<any>}
   */
  #send(action, message, seconds) {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.end(`the model did not ${action} within ${seconds} seconds`),
        seconds * 1000,
      );
      this.#fail = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#worker.onmessage = ({ data }) => {
        clearTimeout(timer);
        if (data.fault) reject(new ClientError(data.fault.code, data.fault.message));
        else resolve(data.result);
      };
      this.#worker.postMessage({ action, ...message });
    });
  }

  /** Ends the worker, and whatever it does. @param {string} why */
  end(why = "the model is closed") {
    this.#ended ??= new ClientError("E_ORT", why);
    this.#worker.terminate();
    this.#fail?.(this.#ended);
  }
}

/** @param {unknown} error */
function textOf(error) {
  return error instanceof Error ? error.message : String(error);
}
