// @ts-check
// Trains a bundle with ONNX Runtime, as CONTRACT.md says: rows in an epoch's order -> what each graph takes
// -> the next state. It knows no page and no file: sessions and images are brought to it.
import { ClientError, firstLineOf } from "../errors.js";
import { drawColumns } from "./augment.js";
import { isOfRows } from "./bundle.js";
import { readLabels } from "./labels.js";
import { dropoutMask, epochOrder } from "./order.js";
import { scalarValue } from "./scalars.js";
import { writeState } from "./stateFile.js";
import { EpochLosses, taskOrders } from "./taskWeights.js";

/**
 * @typedef {import("./bundle.js").Bundle} Bundle
 * @typedef {import("./bundle.js").Graph} Graph
 * @typedef {import("./bundle.js").Tensor} Tensor
 * @typedef {import("./labels.js").Labels} Labels
 * @typedef {import("./table.js").Table} Table
 * @typedef {import("./stateFile.js").StateTensor} StateTensor
 * @typedef {Float32Array | BigInt64Array | Uint8Array} Numbers
 * @typedef {{ type: string, dims: readonly number[], data: any }} OrtTensor as ONNX Runtime's JavaScript
 * has it
 * @typedef {{ run(feeds: Record<string, any>): Promise<Record<string, any>> }} Session
 * @typedef {object} Host what graphs are run with
 * @property {new (type: any, data: any, dims: readonly number[]) => OrtTensor} Tensor
 * @property {(graph: Graph) => Promise<Session>} open
 * @typedef {Map<string, Record<string, number>>} Figures sums by task and figure
 */

const ARRAYS = { float32: Float32Array, int64: BigInt64Array, uint8: Uint8Array };

/**
 * The labels of all tasks. E_CSV_HEADER, E_LABEL.
 * @param {Bundle} bundle
 * @param {Table} table
 */
export function labelsOf({ manifest, used }, table) {
  const inputs = used.flatMap((graph) => graph.inputs);
  const absent = new Set(["", ...manifest.spec.missing.map(String)]);
  return new Map(
    manifest.tasks.map((task) => {
      const label = inputs.find(({ role, task: of }) => role === "label" && of === task.name);
      const missing = label?.missing === "nan" ? Number.NaN : Number(label?.missing ?? -1);
      return [task.name, readLabels(task, table, { absent, missing })];
    }),
  );
}

export class Trainer {
  /** Steps that are done, of the whole run. */
  steps = 0;
  #bundle;
  #host;
  #images;
  /** @type {Map<Graph, Session>} */
  #sessions = new Map();
  /** @type {Map<string, StateTensor>} */
  #state;
  /** @type {Map<string, StateTensor>} */
  #sums = new Map();
  #labels;
  /** @type {Map<string, Tensor>} */
  #inputs = new Map();
  /** @type {readonly Float32Array[] | undefined} */
  #features;
  #rows;
  #losses = new EpochLosses();
  /** @type {{ epoch: number, rows: Int32Array }} */
  #order = { epoch: 0, rows: new Int32Array() };

  /**
   * Reads the labels. E_CSV_HEADER, E_LABEL.
   * @param {Bundle} bundle
   * @param {Table} table
   * @param {Host} host
   * @param {readonly Uint8Array[]} images of each row [H,W,C]
   */
  constructor(bundle, table, host, images) {
    const { used, state } = bundle;
    this.#bundle = bundle;
    this.#host = host;
    this.#images = images;
    this.#state = new Map(state);
    this.#rows = table.rows.length;
    for (const { inputs } of used) for (const input of inputs) this.#inputs.set(input.name, input);
    this.#labels = labelsOf(bundle, table);
  }

  /** As it is after the steps that are done. @returns {ReadonlyMap<string, StateTensor>} */
  get state() {
    return this.#state;
  }

  /** Steps of an epoch. */
  get stepsPerEpoch() {
    return Math.ceil(this.#rows / this.#bundle.manifest.batchSize);
  }

  /**
   * Opens the graphs, and computes what a frozen trunk gives for each image, where the bundle has one.
   * `onFeatures` is told how many images are done.
   * @param {(done: number, total: number) => void} [onFeatures]
   */
  async prepare(onFeatures = () => undefined) {
    for (const graph of this.#bundle.used) this.#sessions.set(graph, await this.#host.open(graph));
    const { trunk } = this.#bundle;
    if (!trunk) return;
    const image = trunk.inputs.find(({ role }) => role === "image");
    const output = trunk.outputs.find(({ role }) => role === "features");
    if (!image || !output)
      throw new ClientError("E_BUNDLE", `manifest.json: ${trunk.file} gives no features`);
    const size = typeof image.shape[0] === "number" ? image.shape[0] : 1;
    /** @type {Float32Array[]} */
    const features = [];
    while (features.length < this.#rows) {
      // The last batch is filled up with its last image.
      const rows = Int32Array.from({ length: size }, (_, i) => Math.min(features.length + i, this.#rows - 1));
      const feeds = Object.fromEntries(
        trunk.inputs.map((input) => [
          input.name,
          input.role === "state"
            ? this.#tensor(input, this.#stateOf(input))
            : this.#tensor(input, joined(this.#images, rows)),
        ]),
      );
      const results = await this.#results(trunk, feeds);
      const data = /** @type {Float32Array} */ (results[output.name].data);
      const length = data.length / size;
      for (let i = 0; i < size && features.length < this.#rows; i++)
        features.push(data.slice(i * length, (i + 1) * length));
      onFeatures(features.length, this.#rows);
    }
    this.#features = features;
  }

  /** Takes one step of the optimizer, and gives the sums over its batch. @returns {Promise<Figures>} */
  async step() {
    const { manifest, step } = this.#bundle;
    const { batchSize, accumulate } = manifest;
    const epoch = Math.floor(this.steps / this.stepsPerEpoch) + 1;
    const place = (this.steps % this.stepsPerEpoch) * batchSize;
    const rows = this.#orderOf(epoch).subarray(place, place + batchSize);
    const at = { epoch, step: this.steps, place, rows };
    /** @type {Figures} */
    const figures = new Map();
    for (const [i, graph] of step.entries()) {
      // A graph's own sums begin with zeros in each round.
      for (const { replaces = "" } of graph.outputs) this.#sums.delete(replaces);
      const parts = isOfRows(graph) ? accumulate : 1;
      // Later rounds over the same rows have figures again.
      const counted = i === 0 ? figures : new Map();
      for (let part = 0; part < parts; part++) await this.#run(graph, { ...at, part }, counted);
    }
    this.steps += 1;
    this.#losses.add(epoch, figures);
    return figures;
  }

  /** The state as a file that `mttc adopt` takes. @param {string} driver what trained it */
  save(driver) {
    const { checkpoint = {} } = this.#bundle.manifest;
    const [steps, stepsOfEpoch] = [String(this.steps), String(this.stepsPerEpoch)];
    return writeState(this.#state, { ...checkpoint, steps, steps_per_epoch: stepsOfEpoch, driver });
  }

  /** @param {number} epoch */
  #orderOf(epoch) {
    if (this.#order.epoch === epoch) return this.#order.rows;
    const groups = [...this.#labels.values()].map((labels) => labels.groups);
    const places = this.stepsPerEpoch * this.#bundle.manifest.batchSize;
    const rows = epochOrder(groups, this.#bundle.manifest.spec, { rows: this.#rows, places, epoch });
    this.#order = { epoch, rows };
    return rows;
  }

  /**
   * @param {Graph} graph
   * @param {{ epoch: number, step: number, place: number, rows: Int32Array, part: number }} at
   * @param {Figures} figures
   */
  async #run(graph, at, figures) {
    const feeds = Object.fromEntries(
      graph.inputs.map((input) => [input.name, this.#tensor(input, this.#value(input, at))]),
    );
    const results = await this.#results(graph, feeds);
    for (const { name, role, replaces, task = "", figure = "" } of graph.outputs) {
      const { data } = results[name];
      if (role === "figure") {
        const sums = figures.get(task) ?? {};
        figures.set(task, { ...sums, [figure]: (sums[figure] ?? 0) + Number(data[0]) });
      }
      if (replaces === undefined) continue;
      const known = this.#state.get(replaces);
      if (known) this.#state.set(replaces, { ...known, data });
      else this.#sums.set(replaces, { dtype: "float32", shape: [], data });
    }
  }

  /** Runs a graph. E_ORT, E_BUNDLE. @param {Graph} graph @param {Record<string, OrtTensor>} feeds */
  async #results(graph, feeds) {
    const session = this.#sessions.get(graph);
    if (!session) throw new Error(`${graph.file} is not open`);
    const results = await session.run(feeds).catch((cause) => {
      throw new ClientError("E_ORT", `${graph.file}: ${firstLineOf(cause)}`, cause);
    });
    for (const { name } of graph.outputs)
      if (!results[name]) throw new ClientError("E_BUNDLE", `${graph.file}: it has no output ${name}`);
    return results;
  }

  /** @param {Tensor} input */
  #stateOf({ name }) {
    return this.#state.get(name)?.data ?? new Float32Array();
  }

  /**
   * The numbers of an input, for micro-batch `part` of the logical batch.
   * @param {Tensor} input
   * @param {{ epoch: number, step: number, place: number, rows: Int32Array, part: number }} at
   * @returns {ArrayLike<number | bigint>}
   */
  #value(input, { epoch, step, place, rows, part }) {
    const { role, name, shape, task = "", stream = "", rate = 0, operations = [] } = input;
    const { manifest } = this.#bundle;
    const { seed, epochs } = manifest.spec;
    if (role === "state") return this.#stateOf(input);
    const length = shape.reduce((/** @type {number} */ product, size) => product * Number(size), 1);
    if (role === "accumulator" || role === "losses")
      return this.#sums.get(name)?.data ?? new Float32Array(length);
    if (role === "scalar") {
      const sources = { labels: this.#labels, inputs: this.#inputs, seed, losses: this.#losses };
      const runSteps = epochs * this.stepsPerEpoch;
      return scalarValue(input, { rows, step, epoch }, { ...sources, runSteps });
    }
    if (role === "draw") return taskOrders([seed, stream, step], manifest.tasks.length);
    const count = rows.length / manifest.accumulate;
    const [first, end] = [part * count, (part + 1) * count];
    if (role === "mask") {
      const each = length / count;
      return dropoutMask([seed, stream, step], rate, rows.length * each).subarray(first * each, end * each);
    }
    const own = rows.subarray(first, end);
    if (role === "image") return joined(this.#images, own);
    if (role === "features") return joined(this.#features ?? [], own);
    if (role === "label") {
      const { values, width } = /** @type {Labels} */ (this.#labels.get(task));
      return [...own].flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]);
    }
    return Array.from({ length: count }, (_, i) =>
      operations.flatMap((operation) =>
        drawColumns(operation, [seed, operation.stream, epoch, place + first + i], manifest.preprocessing),
      ),
    ).flat();
  }

  /** @param {Tensor} input @param {ArrayLike<number | bigint>} values */
  #tensor({ dtype, shape, name }, values) {
    const type = ARRAYS[/** @type {keyof typeof ARRAYS} */ (dtype)];
    if (!type) throw new ClientError("E_BUNDLE", `manifest.json: ${name} is of ${dtype}`);
    const data = values instanceof type ? values : convert(type, values);
    const known = shape.reduce(
      (/** @type {number} */ product, size) => product * (typeof size === "number" ? size : 1),
      1,
    );
    // One dimension may be free: that of the rows.
    const dims = shape.map((size) => (typeof size === "number" ? size : data.length / known));
    return new this.#host.Tensor(dtype, data, dims);
  }
}

/** @param {typeof ARRAYS[keyof typeof ARRAYS]} type @param {ArrayLike<number | bigint>} values */
function convert(type, values) {
  if (type === BigInt64Array) return BigInt64Array.from(Array.from(values), BigInt);
  return /** @type {Float32ArrayConstructor} */ (type).from(/** @type {ArrayLike<number>} */ (values));
}

/**
 * Rows behind each other.
 * @template {Uint8Array | Float32Array} T
 * @param {readonly T[]} all
 * @param {Int32Array} rows
 * @returns {T}
 */
function joined(all, rows) {
  const [first] = all;
  if (!first) throw new Error("there are no rows");
  const Type = /** @type {new (length: number) => T} */ (first.constructor);
  const out = new Type(first.length * rows.length);
  rows.forEach((row, i) => void out.set(all[row] ?? first, i * first.length));
  return out;
}
