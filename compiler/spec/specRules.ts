// What must hold between the keys of a spec, beyond each key being well formed on its own.
// In: the keys that were well formed, so that all faults of a spec appear in one go. Out: faults.
import { suggestName } from "../diagnostics.ts";
import { settingColumns } from "../tasks/columnGroups.ts";
import { kindNamed } from "../tasks/openTask.ts";
import { uncachedReason } from "./cacheFeatures.ts";
import { classKey } from "./classKey.ts";
import { factorFaults } from "./combineRules.ts";
import { isTrackingUri, sinkOf, TRACKING_URI } from "./logKeys.ts";
import { probeFaults } from "./probeRules.ts";
import type { LayerEntry, Spec } from "./schema.ts";
import { splitFaults } from "./splitRules.ts";

/** The keys whose values are well formed, before the rules between keys are known to hold. */
export type PartialSpec = { readonly [Key in keyof Spec]?: Spec[Key] | undefined };
/** A path into the spec: keys and list positions. */
export type SpecPath = readonly (string | number)[];
/** A broken rule: the path of the value (or, with `key`, of its key) and what is wrong. */
export interface RuleFault {
  readonly path: SpecPath;
  readonly message: string;
  readonly hint?: string;
  readonly key?: boolean;
}

/** `task_layers[2]`, `fcn.layers[0]`: a spec path as it is printed. */
export function formatSpecPath(path: SpecPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? part : `${text}.${part}`;
  }, "");
}

/** All broken rules between keys; a rule is skipped where one of its keys is missing or malformed. */
export function crossFaults(spec: PartialSpec): RuleFault[] {
  return [
    ...splitFaults(spec),
    ...taskFaults(spec),
    ...kindFaults(spec),
    ...settingFaults(spec),
    ...classFaults(spec),
    ...weightFaults(spec),
    ...classBalanceFaults(spec),
    ...trainedPartFaults(spec),
    ...teacherFaults(spec),
    ...layerFaults(spec),
    ...sizeFaults(spec),
    ...batchFaults(spec),
    ...combineFaults(spec),
    ...factorFaults(spec),
    ...scheduleFaults(spec),
    ...packFaults(spec),
    ...augmentFaults(spec),
    ...sobelFaults(spec),
    ...cacheFaults(spec),
    ...logFaults(spec),
    ...probeFaults(spec),
  ];
}

function taskFaults({ tasks, filepaths }: PartialSpec): RuleFault[] {
  const faults: RuleFault[] = [];
  for (const [index, task] of (tasks ?? []).entries()) {
    const path = ["tasks", index];
    if (tasks?.indexOf(task) !== index) faults.push({ path, message: `task "${task}" is listed twice` });
    if (task === filepaths)
      faults.push({ path, message: `"${task}" is the column of image paths, not a task` });
  }
  return faults;
}

/** Kinds of unknown tasks, and keys about classes of tasks that have none. */
function kindFaults({ tasks, task_kinds: kinds, classes, class_weights: weights }: PartialSpec): RuleFault[] {
  const faults: RuleFault[] = [];
  for (const [task, { kind }] of Object.entries(kinds ?? {})) {
    if (tasks !== undefined && !tasks.includes(task)) {
      const message = `kind of an unknown task "${task}"`;
      faults.push({ path: ["task_kinds", task], message, hint: suggestName(task, tasks), key: true });
    }
    const { areClasses, weighs } = kindNamed(kind) ?? {};
    const ofClasses = {
      ...(areClasses ? {} : { classes }),
      ...(weighs || typeof weights === "string" ? {} : { class_weights: weights }),
    };
    for (const [key, byTask] of Object.entries(ofClasses))
      if (byTask && Object.hasOwn(byTask, task))
        faults.push({ path: [key, task], message: `task "${task}" is of the kind ${kind}`, key: true });
  }
  return faults;
}

/** Settings of a kind that do not go together, and columns of a task that are none. */
function settingFaults({ task_kinds: kinds, filepaths, tasks }: PartialSpec): RuleFault[] {
  return Object.entries(kinds ?? {}).flatMap(([task, settings]): RuleFault[] => {
    const at = tasks?.indexOf(task) ?? -1;
    const path = at < 0 ? ["task_kinds", task] : ["tasks", at];
    const clash = kindNamed(settings.kind)?.clash?.(settings);
    const faults = clash ? [{ path: [...path, clash.key], message: clash.message }] : [];
    if (filepaths !== undefined && settingColumns(settings)?.includes(filepaths)) {
      const message = `"${filepaths}" is the column of image paths, no label`;
      faults.push({ path: [...path, "columns"], message });
    }
    return faults;
  });
}

function classFaults({ tasks, classes }: PartialSpec): RuleFault[] {
  const faults: RuleFault[] = [];
  for (const [task, names] of Object.entries(classes ?? {})) {
    if (tasks !== undefined && !tasks.includes(task)) {
      const message = `classes of an unknown task "${task}"`;
      faults.push({ path: ["classes", task], message, hint: suggestName(task, tasks), key: true });
    }
    const listed = new Map<string, string>();
    for (const [index, name] of names.entries()) {
      const first = listed.get(classKey(name));
      if (first === undefined) listed.set(classKey(name), name);
      else {
        const as = first === name ? "" : ` (as "${first}", too)`;
        faults.push({ path: ["classes", task, index], message: `class "${name}" is listed twice${as}` });
      }
    }
  }
  return faults;
}

/** `from` names a node, which only an imported fcn has. */
function trainedPartFaults({ fcn, train_fcn: trained }: PartialSpec): RuleFault[] {
  if (fcn === undefined || !("layers" in fcn) || typeof trained !== "object") return [];
  return [{ path: ["train_fcn"], message: "{from: name} is for an imported fcn; expected true or false" }];
}

function teacherFaults({ teacher, distill_weight: weight }: PartialSpec): RuleFault[] {
  if (teacher === undefined || weight === undefined || (teacher === null) === (weight === 0)) return [];
  const message =
    teacher === null ? "a weight without a teacher" : "a teacher needs a distill_weight above 0";
  return [{ path: [teacher === null ? "distill_weight" : "teacher"], message }];
}

function weightFaults({ tasks, task_weights: weights }: PartialSpec): RuleFault[] {
  if (!Array.isArray(weights) || tasks === undefined) return [];
  const path = ["task_weights"];
  if (weights.length !== tasks.length) {
    return [{ path, message: `expected ${tasks.length} weights, one per task, found ${weights.length}` }];
  }
  if (weights.every((weight) => weight === 0)) return [{ path, message: "all task weights are 0" }];
  return [];
}

/** Class weights of unknown tasks and classes; classes drawn equally often where tasks are not. */
function classBalanceFaults(spec: PartialSpec): RuleFault[] {
  const { tasks, classes, class_weights: weights, balance_probs: probs, balance_classes: balance } = spec;
  const faults: RuleFault[] = [];
  if (balance === true && probs === false)
    faults.push({ path: ["balance_classes"], message: "refines balance_probs, which is false" });
  if (weights === "balanced") return faults;
  for (const [task, byClass] of Object.entries(weights ?? {})) {
    const refuse = (path: SpecPath, message: string, names: readonly string[]): void => {
      faults.push({ path, message, hint: suggestName(String(path.at(-1)), names), key: true });
    };
    if (tasks !== undefined && !tasks.includes(task))
      refuse(["class_weights", task], `class weights of an unknown task "${task}"`, tasks);
    const names = classes && Object.hasOwn(classes, task) ? classes[task] : undefined;
    const known = new Set(names?.map(classKey));
    for (const name of names ? Object.keys(byClass) : [])
      if (!known.has(classKey(name)))
        refuse(["class_weights", task, name], `task "${task}" has no class "${name}"`, names ?? []);
  }
  return faults;
}

/** A layer and its spec path. */
export interface PlacedLayer {
  readonly entry: LayerEntry;
  readonly path: SpecPath;
}

/** The layers in the order in which an image passes them; all heads are alike. */
export function placeLayers(spec: PartialSpec): PlacedLayer[] {
  const place = (entries: readonly LayerEntry[] | undefined, ...base: string[]): PlacedLayer[] =>
    (entries ?? []).map((entry, index) => ({ entry, path: [...base, index] }));
  return [
    ...place(layersOf(spec), "fcn", "layers"),
    ...place(spec.shared_layers, "shared_layers"),
    ...place(spec.task_layers, "task_layers"),
  ];
}

/** Layers of a layered fcn; an imported one has none that a rule could follow. */
function layersOf({ fcn }: PartialSpec): readonly LayerEntry[] | undefined {
  return fcn && "layers" in fcn ? fcn.layers : undefined;
}

function layerFaults(spec: PartialSpec): RuleFault[] {
  const faults: RuleFault[] = [];
  const placed = placeLayers(spec);
  if (spec.padding === "valid") {
    const message = 'a residual block "r" needs padding "same": with "valid" its sum would not fit';
    for (const { entry, path } of placed) if (entry === "r") faults.push({ path, message });
  }
  if (layersOf(spec) !== undefined) {
    const message =
      'a residual block "r" keeps the width of the layer before it: put a number of filters first';
    const firstWidth = placed.findIndex(({ entry }) => typeof entry === "number");
    const before = firstWidth === -1 ? placed : placed.slice(0, firstWidth);
    for (const { entry, path } of before) if (entry === "r") faults.push({ path, message });
  }
  if (spec.padding === "same" && spec.kernel_size !== undefined && spec.kernel_size % 2 === 0) {
    const message = `expected an odd kernel_size with padding "same", found ${spec.kernel_size}`;
    faults.push({ path: ["kernel_size"], message });
  }
  return faults;
}

/** Follows [height, width] through the layers; the first that leaves nothing of the image is a fault. */
function sizeFaults(spec: PartialSpec): RuleFault[] {
  // What an imported network leaves of an image is known when it is read.
  if (layersOf(spec) === undefined) return [];
  const { imshape, kernel_size: kernelSize, padding } = spec;
  if (imshape === undefined || kernelSize === undefined || padding === undefined) return [];
  let [height, width] = imshape;
  for (const { entry, path } of placeLayers(spec)) {
    const before = `${height}x${width}`;
    if (entry === "p") {
      [height, width] = [Math.floor(height / 2), Math.floor(width / 2)];
    } else if (typeof entry === "number" && padding === "valid") {
      [height, width] = [height - kernelSize + 1, width - kernelSize + 1];
    }
    if (height >= 1 && width >= 1) continue;
    const layer = entry === "p" ? "pooling 2x2" : `a ${kernelSize}x${kernelSize} convolution`;
    const message = `the image is ${before} here, too small for ${layer}`;
    return [{ path, message, hint: `use fewer "p" or an imshape above ${imshape[0]}x${imshape[1]}` }];
  }
  return [];
}

/** The filter of edges needs neighbours, as the operation of augmentation does. */
function sobelFaults({ sobel, imshape }: PartialSpec): RuleFault[] {
  if (!sobel || imshape === undefined || Math.min(...imshape) >= 2) return [];
  return [{ path: ["sobel"], message: `an image of ${imshape.join("x")} has no edges` }];
}

/** Operations that take red, green and blue apart; a single channel is left as it is. */
const COLOUR_OPERATIONS = ["jitter", "saturation_delta", "hue_delta"] as const;

/** Quarter turns exchange the sides of an image; the filter of edges needs neighbours. */
function augmentFaults({ augment, imshape, num_channels: channels }: PartialSpec): RuleFault[] {
  if (!augment || imshape === undefined) return [];
  const size = imshape.join("x");
  const faults: RuleFault[] = [];
  for (const name of COLOUR_OPERATIONS) {
    if (augment[name] === undefined || channels === undefined || channels === 1 || channels === 3) continue;
    faults.push({
      path: ["augment", name],
      message: `${name} needs the colours red, green and blue, num_channels is ${channels}`,
      hint: "list the operations without it",
    });
  }
  if (augment.rot90 && imshape[0] !== imshape[1])
    faults.push({
      path: ["augment", "rot90"],
      message: `quarter turns need a square imshape, found ${size}`,
      hint: "list the operations without rot90, or use a square imshape",
    });
  if (augment.sobel_prob !== undefined && Math.min(...imshape) < 2)
    faults.push({ path: ["augment", "sobel_prob"], message: `an image of ${size} has no edges` });
  return faults;
}

function batchFaults({ batch_size: batch, accumulate }: PartialSpec): RuleFault[] {
  if (batch === undefined || accumulate === undefined || batch % accumulate === 0) return [];
  const message = `expected a divisor of batch_size (${batch}), found ${accumulate}`;
  return [{ path: ["accumulate"], message }];
}

/** The weights at the shared features are needed before the next micro-batch is seen. */
function combineFaults({ combine, accumulate }: PartialSpec): RuleFault[] {
  if (combine?.features !== true || accumulate === undefined || accumulate === 1) return [];
  const message =
    `a micro-batch's gradient is weighed at the features at once, before the others of its batch are known; ` +
    `expected false with accumulate ${accumulate}`;
  return [
    { path: ["combine", "features"], message, hint: "take the line out: gradients by task add up exactly" },
  ];
}

/** A cycle has its own rise and decay. */
function scheduleFaults({ one_cycle: cycle, lr_decay: decay, warmup }: PartialSpec): RuleFault[] {
  if (cycle === undefined || cycle === false) return [];
  const path = ["one_cycle"];
  const hint = "leave one of them out";
  const faults: RuleFault[] = [];
  if (decay)
    faults.push({ path, message: `the rate cannot decay over ${decay} steps (lr_decay) as well`, hint });
  if (warmup) faults.push({ path, message: "a cycle has a rise of its own, warmup is another", hint });
  return faults;
}

/** A format without a pack says two things, and JPEG does not hold every image. */
function packFaults({ pack, pack_format: format, num_channels, bit_depth }: PartialSpec): RuleFault[] {
  if (format !== "jpeg") return [];
  const path = ["pack_format"];
  if (pack === false) return [{ path, message: "nothing is packed: pack is false" }];
  const isHeld = [undefined, 1, 3].includes(num_channels) && [undefined, 8].includes(bit_depth);
  return isHeld ? [] : [{ path, message: "JPEG holds 1 or 3 channels of 8 bits; expected raw" }];
}

/** What is asked for must be possible: features that can be computed once. */
function cacheFaults({ cache_features: cache, train_fcn, augment, teacher }: PartialSpec): RuleFault[] {
  if (cache === undefined || cache === "auto" || cache === false) return [];
  if (train_fcn === undefined || augment === undefined || teacher === undefined) return [];
  const path = ["cache_features"];
  const reason = uncachedReason({ cache_features: cache, train_fcn, augment, teacher });
  if (reason !== undefined) return [{ path, ...reason }];
  if (cache === true || augment !== false) return [];
  return [{ path, message: "draws are of the augmentation, and there is none; expected true" }];
}

/** What is sent is kept in the run's folder first, and a place is logged to once. */
function logFaults({ log_to: targets = [], logdir }: PartialSpec): RuleFault[] {
  const names = targets.map(sinkOf);
  const faults = names.flatMap((name, index): RuleFault[] =>
    names.indexOf(name) === index ? [] : [{ path: ["log_to", index], message: `${name} is listed twice` }],
  );
  for (const [index, entry] of targets.entries()) {
    const uri = typeof entry === "object" && "mlflow" in entry ? entry.mlflow.tracking_uri : undefined;
    // Not shown: a password may be in it.
    if (uri !== undefined && !isTrackingUri(uri))
      faults.push({ path: ["log_to", index, "mlflow", "tracking_uri"], message: `expected ${TRACKING_URI}` });
  }
  if (targets.length === 0 || logdir !== null) return faults;
  return [
    ...faults,
    { path: ["log_to"], message: "what is logged is kept in logdir first, and there is none" },
  ];
}
