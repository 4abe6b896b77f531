// @ts-check
// A bundle of `mttc compile`: manifest.json, checked as far as it is used, and the state that training
// starts from. Files come from anywhere: whatever is not as CONTRACT.md says is refused by name.
import { ClientError } from "../errors.js";
import { isOperation } from "./augment.js";
import { isSchedule } from "./schedule.js";
import { readState } from "./stateFile.js";

/**
 * @typedef {import("./stateFile.js").StateTensor} StateTensor
 * @typedef {import("./schedule.js").Schedule} Schedule
 * @typedef {object} Tensor at the border of a graph
 * @property {string} name
 * @property {string} dtype
 * @property {(number | string)[]} shape
 * @property {string} role
 * @property {string} [replaces]
 * @property {string} [task]
 * @property {string} [figure]
 * @property {string} [encoding]
 * @property {number | "nan"} [missing]
 * @property {number} [rate]
 * @property {string} [draw]
 * @property {string} [stream]
 * @property {string} [scalar]
 * @property {Schedule & { weights?: string, value: any, temperature?: number, stream?: string }} [value]
 * @property {{ name: string, strength: number, columns: string[], stream: string }[]} [operations]
 * @typedef {{ file: string, purpose: string, inputs: Tensor[], outputs: Tensor[] }} Graph
 * @typedef {object} Task
 * @property {string} name
 * @property {"classes" | "number" | "tags"} kind
 * @property {string[]} [classes]
 * @property {string[]} [tags]
 * @property {string} [separator]
 * @property {string[]} [columns]
 * @typedef {object} Spec
 * @property {number} seed
 * @property {number} epochs
 * @property {boolean} balance_probs
 * @property {boolean} balance_classes
 * @property {string} filepaths
 * @property {unknown[]} missing
 * @property {string} [path_prefix]
 * @property {string} [path_suffix]
 * @typedef {object} Manifest
 * @property {number} batchSize
 * @property {number} accumulate
 * @property {Record<string, Graph>} graphs
 * @property {{ name: string, dtype: string, shape: number[] }[]} state
 * @property {Task[]} tasks
 * @property {{ height: number, width: number, channels: number, greyscale: boolean, dtype: string }}
 * preprocessing
 * @property {{ shape: number[], draws: number }} [features]
 * @property {object} [augment]
 * @property {Record<string, string>} [checkpoint]
 * @property {Spec} spec
 * @typedef {object} Bundle
 * @property {Manifest} manifest
 * @property {Map<string, StateTensor>} state
 * @property {readonly Graph[]} step what a step runs, in order: `losses` twice, before the update and
 * after it
 * @property {readonly Graph[]} used graphs that training runs: those of a step, `trunk`
 * @property {Graph | undefined} trunk what computes features once; undefined where steps take images
 */

const VERSION = 2;
const KINDS = ["classes", "number", "tags"];
const ENCODINGS = { class_index: "classes", number: "number", flags: "tags" };
/** Purposes of graphs that take the rows of a batch, or of a micro-batch. */
const OF_ROWS = ["train", "grad", "losses"];
/** What is summed up over micro-batches. */
const SUMS = ["accumulator", "losses"];
const ROLES = [...SUMS, "state", "image", "features", "augment", "label", "mask", "draw", "scalar"];
const OUTPUT_ROLES = [
  ...SUMS,
  ...["state", "figure", "prediction"],
  ...["features", "gram", "gradient_weights"],
];
const FACTORS = ["constant", "dynamic_average", "random_softmax"];
const COUNTS = ["inverse_labelled", "inverse_weight", "balanced", "balanced_positives"];
const MOST_NUMBERS = 2 ** 28;
const MOST_TASKS = 1000;

/** @param {string} what */
function refused(what) {
  return new ClientError("E_BUNDLE", `manifest.json: ${what}`);
}

/** @param {unknown} value @param {number} least @param {number} [most] */
function isWhole(value, least, most = Number.MAX_SAFE_INTEGER) {
  return Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most;
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
function isMap(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads a bundle; `read` gives its files. E_BUNDLE, E_ST_HEADER, E_ST_LAYOUT, and what `read` throws.
 * @param {(name: string) => Promise<Uint8Array>} read
 * @returns {Promise<Bundle>}
 */
export async function readBundle(read) {
  const manifest = parseManifest(await read("manifest.json"));
  const { step, used, trunk } = usedGraphs(manifest);
  for (const graph of used) checkGraph(manifest, graph);
  checkSums(used);
  const file = "state.safetensors";
  const { tensors } = readState(await read(file), file);
  const state = new Map();
  for (const { name, dtype, shape } of manifest.state) {
    const tensor = tensors.get(name);
    if (tensor?.dtype !== dtype || String(tensor.shape) !== String(shape))
      throw new ClientError("E_BUNDLE", `${file}: no tensor ${name} of ${dtype}[${shape}]`);
    state.set(name, tensor);
  }
  if (tensors.size !== state.size)
    throw new ClientError("E_BUNDLE", `${file}: has tensors that manifest.json does not name`);
  return { manifest, state, step, used, trunk };
}

/** @param {Uint8Array} bytes @returns {Manifest} */
function parseManifest(bytes) {
  let json;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ClientError("E_BUNDLE", "manifest.json: is not JSON", cause);
  }
  if (!isMap(json) || json.format !== "mttc-bundle")
    throw refused(`expected the format mttc-bundle, found ${shown(isMap(json) ? json.format : json)}`);
  if (json.version !== VERSION) throw refused(`expected version ${VERSION}, found ${shown(json.version)}`);
  const { batchSize, accumulate, graphs, state, tasks } = json;
  if (!isWhole(batchSize, 1, 2 ** 20)) throw refused(`batchSize is ${shown(batchSize)}`);
  if (!isWhole(accumulate, 1, Number(batchSize)) || Number(batchSize) % Number(accumulate) !== 0)
    throw refused(`accumulate is ${shown(accumulate)}, which does not divide batchSize`);
  if (!isMap(graphs) || !Array.isArray(state) || !state.every(isStateEntry))
    throw refused("graphs or state are not as they should be");
  checkSpec(json.spec);
  checkTasks(tasks);
  checkImages(json.preprocessing);
  return /** @type {Manifest} */ (/** @type {unknown} */ (json));
}

/** @param {unknown} entry */
function isStateEntry(entry) {
  return isMap(entry) && typeof entry.name === "string" && Array.isArray(entry.shape);
}

/** @param {unknown} spec */
function checkSpec(spec) {
  if (!isMap(spec)) throw refused("spec is missing");
  const { seed, epochs, balance_probs, balance_classes, filepaths, missing } = spec;
  if (!isWhole(seed, 0)) throw refused(`spec: seed is ${shown(seed)}`);
  if (!isWhole(epochs, 1, 1e6)) throw refused(`spec: epochs is ${shown(epochs)}`);
  if (typeof balance_probs !== "boolean" || typeof balance_classes !== "boolean")
    throw refused("spec: balance_probs or balance_classes is not true or false");
  if (typeof filepaths !== "string" || !Array.isArray(missing))
    throw refused("spec: filepaths or missing is not as it should be");
}

/** @param {unknown} tasks */
function checkTasks(tasks) {
  if (!Array.isArray(tasks) || tasks.length < 1 || tasks.length > MOST_TASKS)
    throw refused("tasks is no list");
  for (const task of tasks) {
    if (!isMap(task) || typeof task.name !== "string") throw refused("tasks: a task has no name");
    const { name, kind, classes, tags, columns } = task;
    if (!KINDS.includes(String(kind)))
      throw refused(`task ${shown(name)}: its kind is ${shown(kind)}; known are ${KINDS.join(", ")}`);
    const names = kind === "classes" ? classes : kind === "tags" ? tags : [];
    if (!isTexts(names) || (columns !== undefined && !isTexts(columns)))
      throw refused(`task ${shown(name)}: its names are no list of texts`);
  }
}

/** @param {unknown} value */
function isTexts(value) {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

/** @param {unknown} preprocessing */
function checkImages(preprocessing) {
  if (!isMap(preprocessing)) throw refused("preprocessing is missing");
  const { height, width, channels, dtype } = preprocessing;
  for (const [key, value] of Object.entries({ height, width, channels }))
    if (!isWhole(value, 1, 2 ** 16)) throw refused(`preprocessing: ${key} is ${shown(value)}`);
  if (Number(height) * Number(width) * Number(channels) > MOST_NUMBERS)
    throw refused(`preprocessing: images of ${height}x${width}x${channels} are too large`);
  if (dtype !== "uint8")
    throw refused(`preprocessing: this program reads images of 8 bits, not ${shown(dtype)}`);
}

/** The graphs that training runs: on features where they are computed once. @param {Manifest} manifest */
function usedGraphs({ graphs, accumulate, features, augment }) {
  for (const [name, graph] of Object.entries(graphs)) {
    const { inputs, outputs } = graph ?? {};
    if (!isMap(graph) || !Array.isArray(inputs) || !Array.isArray(outputs))
      throw refused(`graphs: ${name} is none`);
  }
  const all = Object.values(graphs);
  const find = (/** @type {string} */ purpose, /** @type {boolean} */ onFeatures) =>
    all.find((graph) => graph.purpose === purpose && takes(graph, "features") === onFeatures);
  const trunk = all.find((graph) => graph.purpose === "trunk" && !takes(graph, "augment"));
  // Augmented images have features of their own in each epoch.
  const isCached =
    features !== undefined && features.draws === 0 && augment === undefined && trunk !== undefined;
  const onFeatures = isCached && find(accumulate > 1 ? "grad" : "train", true) !== undefined;
  const step = stepOf(accumulate, (purpose) => {
    const found = find(purpose, onFeatures && OF_ROWS.includes(purpose));
    if (!found) throw refused(`graphs: none with the purpose ${purpose}`);
    return found;
  });
  const used = new Set([...step, ...(onFeatures && trunk ? [trunk] : [])]);
  return { step, used: [...used], trunk: onFeatures ? trunk : undefined };
}

/** What a step runs, in order. @param {number} accumulate @param {(purpose: string) => Graph} need */
function stepOf(accumulate, need) {
  if (accumulate === 1) return [need("train")];
  const [grad, apply] = [need("grad"), need("apply")];
  if (!takes(grad, "losses")) return [grad, apply];
  const losses = need("losses");
  return [losses, grad, apply, losses, need("factors")];
}

/** Whether a graph runs on each micro-batch of a step; others run once. @param {Graph} graph */
export function isOfRows({ purpose }) {
  return OF_ROWS.includes(purpose);
}

/** @param {Graph} graph @param {string} role */
function takes({ inputs }, role) {
  return inputs.some((each) => each.role === role);
}

/** Sums that a graph takes must be its own, or those of a graph before it. @param {readonly Graph[]} used */
function checkSums(used) {
  const made = new Set();
  for (const { file, inputs, outputs } of used) {
    for (const { role, replaces } of outputs) if (SUMS.includes(role)) made.add(replaces);
    for (const { role, name } of inputs)
      if (SUMS.includes(role) && !made.has(name))
        throw refused(`${file}: input ${shown(name)} is a sum that no graph makes`);
  }
}

/** @param {Manifest} manifest @param {Graph} graph */
function checkGraph({ state, tasks, batchSize, accumulate }, { inputs, outputs, file }) {
  if (typeof file !== "string" || !/^[\w.-]+$/.test(file) || file.startsWith("."))
    throw refused(`graphs: ${shown(file)} is no file of the bundle`);
  const known = new Set(state.map(({ name }) => name));
  for (const input of inputs) {
    const { name, role, task: of } = input;
    const where = `${file}: input ${shown(name)}`;
    if (!ROLES.includes(role))
      throw refused(`${where} has the role ${shown(role)}, which this program does not know`);
    if (!Array.isArray(input.shape)) throw refused(`${where} has no shape`);
    if (role === "state" && !known.has(name)) throw refused(`${where} is no tensor of the state`);
    const task = tasks.find((each) => each.name === of);
    if (of !== undefined && !task) throw refused(`${where} is of the task ${shown(of)}, which there is not`);
    const rows = input.shape[0];
    const least = role === "image" || role === "label" || role === "mask" || role === "augment";
    if (least && typeof rows === "number" && ![batchSize, batchSize / accumulate].includes(rows))
      throw refused(`${where} has ${rows} rows`);
    if (role === "label") checkLabel(input, task, where);
    if (
      role === "mask" &&
      (input.draw !== "scaled_bernoulli" || !(Number(input.rate) >= 0) || !(Number(input.rate) < 1))
    )
      throw refused(`${where} is drawn by ${shown(input.draw)}, which this program does not know`);
    if (role === "draw") checkDraw(input, tasks.length, where);
    if (role === "scalar") checkScalar(input, where);
    if (role === "augment") checkOperations(input, where);
  }
  for (const { name, role, replaces } of outputs) {
    const where = `${file}: output ${shown(name)}`;
    if (!OUTPUT_ROLES.includes(role))
      throw refused(`${where} has the role ${shown(role)}, which this program does not know`);
    if (role === "state" && !known.has(replaces ?? ""))
      throw refused(`${where} replaces ${shown(replaces)}, which is no tensor of the state`);
  }
}

/** @param {Tensor} input @param {Task | undefined} task @param {string} where */
function checkLabel({ encoding = "", missing }, task, where) {
  const kind = Object.hasOwn(ENCODINGS, encoding)
    ? ENCODINGS[/** @type {keyof typeof ENCODINGS} */ (encoding)]
    : undefined;
  if (!kind || task?.kind !== kind) throw refused(`${where} has the encoding ${shown(encoding)}`);
  if (typeof missing !== "number" && missing !== "nan")
    throw refused(`${where} has no number for missing labels`);
}

/** @param {Tensor} input @param {string} where */
function checkScalar({ scalar, value }, where) {
  const formula = value?.formula ?? "";
  if (scalar === "task_weight") return checkTaskWeight(value, where);
  if (!isSchedule(formula) && !COUNTS.includes(formula))
    throw refused(`${where} has the formula ${shown(formula)}, which this program does not know`);
}

/** @param {Tensor["value"]} value @param {string} where */
function checkTaskWeight(value, where) {
  const { formula = "", value: weight, temperature, stream } = value ?? {};
  if (!FACTORS.includes(formula))
    throw refused(`${where} has the formula ${shown(formula)}, which this program does not know`);
  if (!Number.isFinite(weight)) throw refused(`${where} has the value ${shown(weight)}`);
  if (formula === "dynamic_average" && !(Number(temperature) > 0))
    throw refused(`${where} has the temperature ${shown(temperature)}`);
  if (formula === "random_softmax" && typeof stream !== "string")
    throw refused(`${where} has the stream ${shown(stream)}`);
}

/** @param {Tensor} input @param {number} tasks @param {string} where */
function checkDraw({ draw, stream, dtype, shape }, tasks, where) {
  if (draw !== "task_orders")
    throw refused(`${where} is drawn by ${shown(draw)}, which this program does not know`);
  if (typeof stream !== "string") throw refused(`${where} has the stream ${shown(stream)}`);
  if (dtype !== "int64" || String(shape) !== String([tasks, tasks - 1]))
    throw refused(`${where} has the shape ${shown(shape)} of ${dtype}`);
}

/** @param {Tensor} input @param {string} where */
function checkOperations({ operations }, where) {
  if (!Array.isArray(operations)) throw refused(`${where} has no operations`);
  for (const operation of operations)
    if (!isOperation(operation.name) || typeof operation.strength !== "number")
      throw refused(`${where} has the operation ${shown(operation.name)}, which this program does not know`);
}

/** @param {unknown} value */
function shown(value) {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
