// @ts-check
// What a file that `mttc export` wrote says of itself: size and reading of its images, tasks, class names.
// A model may come from anybody, so that nothing of it is believed before it is checked here.
import { ClientError } from "./errors.js";
import { metadataProps } from "./protobuf.js";

/**
 * @typedef {object} Heatmap
 * @property {string} output float32 [N, height, width], from 0 to 1
 * @property {number} height
 * @property {number} width
 * @property {string} [class] what it explains, where that is not the answer
 *
 * @typedef {object} Task
 * @property {string} name
 * @property {string} output float32 [N, names.length]
 * @property {"classes" | "tags" | "number"} kind
 * @property {string[]} names of its classes, tags or numbers
 * @property {number[]} [thresholds] from which on each tag is answered
 * @property {number} [unsureBelow] the probability below which a class is better left open
 * @property {number[]} [radius] of the interval round each number
 * @property {Heatmap} [heatmap]
 *
 * @typedef {object} Preprocessing
 * @property {number} height
 * @property {number} width
 * @property {number} channels
 * @property {boolean} greyscale
 * @property {"uint8" | "uint16" | "float32"} dtype
 * @property {boolean} anySize whether the graph takes images of every size, and resizes itself
 *
 * @typedef {object} Metadata
 * @property {Task[]} tasks
 * @property {Preprocessing} preprocessing
 * @property {string} [cmyk] colours of CMYK without a profile (docs/predict.md), base64
 * @property {{ run?: string, epoch?: number, mttc?: string }} origin
 *
 * @typedef {{ name: string, type?: string, shape?: readonly (number | string)[] }} TensorInfo
 */

const KEY = "mttc";
const FORMAT = "mttc-model";
const NEWEST_VERSION = 3;
const NEWEST_READING = 1;
const MAX_SIDE = 65_536;
const MAX_CHANNELS = 16;
/** Numbers of one image: 1 GiB of float32. */
const MAX_NUMBERS = 2 ** 28;
const MAX_TASKS = 1_000;
/** Names of a task, by its kind: the key that holds them, and how many there may be. */
const KINDS = /** @type {const} */ ({
  classes: { key: "classes", most: 1_000_000 },
  tags: { key: "tags", most: 10_000 },
  number: { key: "columns", most: 1_000 },
});
const DTYPES = /** @type {const} */ (["uint8", "uint16", "float32"]);

/**
 * The metadata of an ONNX file, checked. E_MODEL_PARSE where the bytes are none, E_MODEL_META where the
 * metadata is missing or is not what a whole model says.
 * @param {Uint8Array} bytes
 * @returns {Metadata}
 */
export function readMetadata(bytes) {
  const entries = metadataProps(bytes);
  const own = entries.filter(({ key }) => key === KEY);
  const part = entries.find(({ key }) => key.startsWith(`${KEY}.`));
  if (own.length > 1) throw refusal(`the file has the metadata "${KEY}" ${own.length} times`);
  if (own[0]) return parseMetadata(own[0].value);
  if (part) throw refusal(`the file is a part of a split export ("${shown(part.key)}"), not a whole model`);
  throw refusal(`the file has no metadata "${KEY}": it is not one that mttc export wrote`);
}

/**
 * The same from the JSON text alone.
 * @param {string} text
 * @returns {Metadata}
 */
export function parseMetadata(text) {
  const json = objectOf(jsonOf(text), "the metadata");
  if (json.format !== FORMAT) throw refusal(`format is ${shown(json.format)}, expected "${FORMAT}"`);
  intOf(json.version, "version", 1, NEWEST_VERSION);
  if (json.kind !== "model" && json.kind !== "task")
    throw refusal(`kind is ${shown(json.kind)}: only whole models ("model", "task") are run`);
  const listed = listOf(json.tasks, "tasks", 1, MAX_TASKS);
  const tasks = listed.map((task, i) => taskOf(task, `tasks[${i}]`));
  distinct(
    tasks.map(({ name }) => name),
    "the names of tasks",
  );
  distinct(
    tasks.flatMap(({ output, heatmap }) => [output, ...(heatmap ? [heatmap.output] : [])]),
    "the outputs of tasks",
  );
  const cmyk = readingOf(json.reading);
  return {
    tasks,
    preprocessing: preprocessingOf(json.preprocessing),
    ...cmyk,
    origin: originOf(json.origin),
  };
}

/**
 * Compares the metadata with what the opened session takes and gives (`inputMetadata` and `outputMetadata`
 * of ONNX Runtime's JavaScript sessions). E_MODEL_META where they differ.
 * @param {Metadata} metadata
 * @param {readonly TensorInfo[]} inputs
 * @param {readonly TensorInfo[]} outputs
 */
export function checkSession({ preprocessing, tasks }, inputs, outputs) {
  const { height, width, channels, dtype, anySize } = preprocessing;
  const names = inputs.map(({ name }) => shown(name)).join(", ");
  if (inputs.length !== 1 || inputs[0]?.name !== "image")
    throw refusal(`expected one input "image", the file has ${names || "none"}`);
  const sides = anySize ? [undefined, undefined] : [height, width];
  compare('input "image"', inputs[0], dtype, [1, ...sides, channels]);
  for (const { name, output, names: numbers, heatmap } of tasks) {
    const of = `of task ${shown(name)}`;
    /** @type {[string, number[]][]} */
    const wanted = [[output, [1, numbers.length]]];
    if (heatmap) wanted.push([heatmap.output, [1, heatmap.height, heatmap.width]]);
    for (const [wish, shape] of wanted) {
      const found = outputs.find((info) => info.name === wish);
      if (!found) throw refusal(`there is no output ${shown(wish)} ${of}`);
      compare(`output ${shown(wish)} ${of}`, found, "float32", shape);
    }
  }
}

/**
 * @param {string} what
 * @param {TensorInfo} info
 * @param {string} type
 * @param {readonly (number | undefined)[]} shape undefined: any size; a size that the file leaves open fits
 */
function compare(what, info, type, shape) {
  const fits =
    info.shape?.length === shape.length &&
    info.shape.every((size, i) => typeof size !== "number" || size < 0 || (shape[i] ?? size) === size);
  if (fits && info.type === type) return;
  const wanted = `${type} [${shape.map((size) => size ?? "any").join(",")}]`;
  const found = `${info.type ?? "no tensor"} [${info.shape ?? ""}]`;
  throw refusal(`the metadata says that ${what} is ${wanted}, the file has ${shown(found)}`);
}

/**
 * @param {unknown} value
 * @param {string} where
 * @returns {Task}
 */
function taskOf(value, where) {
  const task = objectOf(value, where);
  const name = textOf(task.name, `${where}.name`);
  const output = textOf(task.output, `${where}.output`);
  const kind = task.kind === undefined ? "classes" : task.kind;
  if (kind !== "classes" && kind !== "tags" && kind !== "number")
    throw refusal(`${where}.kind is ${shown(kind)}, which is not known`);
  const names = namesOf(task, kind, name, where);
  const heatmap = task.heatmap === undefined ? {} : { heatmap: heatmapOf(task.heatmap, `${where}.heatmap`) };
  return { name, output, kind, names, ...fitsOf(task, kind, names.length, where), ...heatmap };
}

/**
 * The names of a task's numbers; a single number has none but the task's own.
 * @param {Record<string, unknown>} task
 * @param {Task["kind"]} kind
 * @param {string} name
 * @param {string} where
 */
function namesOf(task, kind, name, where) {
  const { key, most } = KINDS[kind];
  if (kind === "number") {
    const { length } = listOf(task.mean, `${where}.mean`, 1, most);
    const hasNames = task[key] !== undefined;
    if (!hasNames) return length === 1 ? [name] : Array.from({ length }, (_, i) => `${name}[${i}]`);
    listOf(task[key], `${where}.${key}`, length, length);
  }
  const names = listOf(task[key], `${where}.${key}`, 1, most);
  const texts = names.map((entry, i) => textOf(entry, `${where}.${key}[${i}]`));
  distinct(texts, `${where}.${key}`);
  return texts;
}

/**
 * What was fitted to held-out labels.
 * @param {Record<string, unknown>} task
 * @param {Task["kind"]} kind
 * @param {number} width
 * @param {string} where
 * @returns {Pick<Task, "thresholds" | "unsureBelow" | "radius">}
 */
function fitsOf(task, kind, width, where) {
  if (kind === "classes" && task.unsure !== undefined) {
    const { below } = objectOf(task.unsure, `${where}.unsure`);
    return { unsureBelow: numberOf(below, `${where}.unsure.below`, 0, 1) };
  }
  if (kind === "tags" && task.thresholds !== undefined)
    return { thresholds: numbersOf(task.thresholds, `${where}.thresholds`, width, 1) };
  if (kind === "number" && task.interval !== undefined) {
    const { radius } = objectOf(task.interval, `${where}.interval`);
    return { radius: numbersOf(radius, `${where}.interval.radius`, width, Number.MAX_VALUE) };
  }
  return {};
}

/**
 * @param {unknown} value
 * @param {string} where
 * @returns {Heatmap}
 */
function heatmapOf(value, where) {
  const map = objectOf(value, where);
  const output = textOf(map.output, `${where}.output`);
  const height = intOf(map.height, `${where}.height`, 1, MAX_SIDE);
  const width = intOf(map.width, `${where}.width`, 1, MAX_SIDE);
  if (height * width > MAX_NUMBERS) throw refusal(`${where} is ${height}x${width}, beyond any memory`);
  return {
    output,
    height,
    width,
    ...(map.class === undefined ? {} : { class: textOf(map.class, `${where}.class`) }),
  };
}

/**
 * @param {unknown} value
 * @returns {Preprocessing}
 */
function preprocessingOf(value) {
  const where = "preprocessing";
  const rules = objectOf(value, where);
  const height = intOf(rules.height, `${where}.height`, 1, MAX_SIDE);
  const width = intOf(rules.width, `${where}.width`, 1, MAX_SIDE);
  const channels = intOf(rules.channels, `${where}.channels`, 1, MAX_CHANNELS);
  if (height * width * channels > MAX_NUMBERS)
    throw refusal(`images of ${height}x${width}x${channels} are beyond any memory`);
  if (rules.layout !== "NHWC") throw refusal(`${where}.layout is ${shown(rules.layout)}, expected "NHWC"`);
  const dtype = DTYPES.find((known) => known === rules.dtype);
  if (!dtype) throw refusal(`${where}.dtype is ${shown(rules.dtype)}, expected one of ${DTYPES.join(", ")}`);
  if (typeof rules.greyscale !== "boolean")
    throw refusal(`${where}.greyscale is ${shown(rules.greyscale)}, expected true or false`);
  if (rules.resize !== undefined && rules.resize !== "graph")
    throw refusal(`${where}.resize is ${shown(rules.resize)}, expected "graph" or nothing`);
  const anySize = rules.resize === "graph";
  return { height, width, channels, greyscale: rules.greyscale, dtype, anySize };
}

/**
 * The rules of reading images; files of older versions do not say them, and read alike.
 * @param {unknown} value
 * @returns {{ cmyk?: string }}
 */
function readingOf(value) {
  if (value === undefined) return {};
  const reading = objectOf(value, "reading");
  intOf(reading.version, "reading.version", 1, NEWEST_READING);
  return reading.cmyk === undefined ? {} : { cmyk: textOf(reading.cmyk, "reading.cmyk") };
}

/**
 * Where the model comes from; for people, so that what is odd is left out.
 * @param {unknown} value
 * @returns {Metadata["origin"]}
 */
function originOf(value) {
  if (value === undefined) return {};
  const { run, epoch, mttc } = objectOf(value, "origin");
  return {
    ...(typeof run === "string" ? { run } : {}),
    ...(typeof epoch === "number" ? { epoch } : {}),
    ...(typeof mttc === "string" ? { mttc } : {}),
  };
}

/** @param {string} text */
function jsonOf(text) {
  try {
    return /** @type {unknown} */ (JSON.parse(text));
  } catch (cause) {
    throw new ClientError("E_MODEL_META", `the metadata "${KEY}" is not JSON`, cause);
  }
}

/**
 * @param {unknown} value
 * @param {string} where
 * @returns {Record<string, unknown>}
 */
function objectOf(value, where) {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return /** @type {Record<string, unknown>} */ (value);
  throw refusal(`${where} is ${shown(value)}, expected an object`);
}

/**
 * @param {unknown} value
 * @param {string} where
 * @param {number} least
 * @param {number} most
 * @returns {unknown[]}
 */
function listOf(value, where, least, most) {
  if (Array.isArray(value) && value.length >= least && value.length <= most) return value;
  const found = Array.isArray(value) ? `a list of ${value.length}` : shown(value);
  throw refusal(`${where} is ${found}, expected a list of ${least === most ? least : `${least} to ${most}`}`);
}

/**
 * @param {unknown} value
 * @param {string} where
 */
function textOf(value, where) {
  if (typeof value === "string" && value !== "") return value;
  throw refusal(`${where} is ${shown(value)}, expected a text`);
}

/**
 * @param {unknown} value
 * @param {string} where
 * @param {number} least
 * @param {number} most
 */
function numberOf(value, where, least, most) {
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw refusal(`${where} is ${shown(value)}, expected a number from ${least} to ${most}`);
}

/**
 * @param {unknown} value
 * @param {string} where
 * @param {number} least
 * @param {number} most
 */
function intOf(value, where, least, most) {
  const number = numberOf(value, where, least, most);
  if (Number.isInteger(number)) return number;
  throw refusal(`${where} is ${number}, expected a whole number`);
}

/**
 * @param {unknown} value
 * @param {string} where
 * @param {number} length
 * @param {number} most
 */
function numbersOf(value, where, length, most) {
  return listOf(value, where, length, length).map((entry, i) => numberOf(entry, `${where}[${i}]`, 0, most));
}

/**
 * @param {readonly string[]} names
 * @param {string} what
 */
function distinct(names, what) {
  const seen = new Set();
  for (const name of names) {
    if (seen.has(name)) throw refusal(`${what} are not distinct: ${shown(name)} is there twice`);
    seen.add(name);
  }
}

/** A value for a message: short, of one line. @param {unknown} value */
function shown(value) {
  if (value === undefined) return "missing";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** @param {string} message */
function refusal(message) {
  return new ClientError("E_MODEL_META", message);
}
