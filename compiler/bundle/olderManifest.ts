// Bundles of version 1 said a tensor's meaning in its name alone. Their roles are derived from names here,
// and nowhere else: what this gives is a manifest as today's compiler writes it. The names of version 1 stay
// what they were: nothing here changes when those of today do.

import { settingsOf } from "../augment/augmentSplit.ts";
import { drawnOperations } from "../augment/augmentTable.ts";
import { MttcError } from "../diagnostics.ts";
import type { DrawnOperation, GraphPurpose, TensorRole } from "../ir/roles.ts";
import type { DType } from "../ir/types.ts";
import { classWeightsOf, taskWeight } from "../model/objective.ts";
import { type AugmentName, augmentSettings } from "../spec/augmentKeys.ts";
import { CLASSES } from "../tasks/classTask.ts";
import {
  BUNDLE_VERSION,
  type GraphEntry,
  type Manifest,
  type StateEntry,
  type TensorEntry,
} from "./manifest.ts";

interface OlderTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

interface OlderGraph {
  readonly file: string;
  readonly inputs: readonly OlderTensor[];
  readonly outputs: readonly OlderTensor[];
}

/** manifest.json of version 1, as far as it differs. */
export type OlderManifest = Omit<Manifest, "version" | "accumulate" | "graphs" | "state" | "tasks"> & {
  readonly version: 1;
  /** Now inputs of that role. */
  readonly accumulators: unknown;
  readonly masks: unknown;
  readonly graphs: Readonly<Record<string, OlderGraph>>;
  readonly state: readonly Omit<StateEntry, "of" | "slot">[];
  readonly tasks: readonly { readonly name: string; readonly classes: readonly string[] }[];
};

/** Today's manifest of a bundle of version 1; `file` is for E_BUNDLE, where a name is none of that version. */
export function upgradeManifest(older: OlderManifest, file: string): Manifest {
  const { accumulators: _, masks: __, ...kept } = older;
  const state = older.state.map((entry) => ({ ...entry, ...ownerOf(entry) }));
  const graphs = Object.entries(older.graphs).map(([name, graph]): [string, GraphEntry] => {
    const reader = new NameReader(older, state, purposeOf(name), file);
    const { inputs, outputs } = graph;
    return [
      name,
      {
        ...{ file: graph.file, purpose: reader.purpose },
        inputs: inputs.map((tensor): TensorEntry => ({ ...tensor, ...reader.inputRole(tensor.name) })),
        outputs: outputs.map((tensor): TensorEntry => ({ ...tensor, ...reader.outputRole(tensor.name) })),
      },
    ];
  });
  return {
    ...kept,
    version: BUNDLE_VERSION,
    accumulate: older.spec.accumulate,
    graphs: Object.fromEntries(graphs),
    state,
    tasks: older.tasks.map(({ name, classes }, i) => ({
      ...{ name, kind: CLASSES.kind, classes },
      weight: taskWeight(older.spec, i),
    })),
  };
}

/** `<parameter>/<slot>` is a slot; a parameter and its log variance are their own. */
function ownerOf({ name, group }: OlderManifest["state"][number]): Pick<StateEntry, "of" | "slot"> {
  if (group === "counter" || group === "loss_scale") return {};
  if (group !== "slot") return { of: name };
  const end = name.lastIndexOf("/");
  return { of: name.slice(0, end), slot: name.slice(end + 1) };
}

function purposeOf(graph: string): GraphPurpose {
  for (const purpose of ["train", "grad", "apply", "evaluate", "trunk"] as const)
    if (graph.startsWith(purpose)) return purpose;
  return "augment";
}

/** Reads the names of a graph's tensors. */
class NameReader {
  readonly purpose: GraphPurpose;
  readonly #older: OlderManifest;
  readonly #state: ReadonlyMap<string, StateEntry>;
  readonly #file: string;

  constructor(older: OlderManifest, state: readonly StateEntry[], purpose: GraphPurpose, file: string) {
    this.#older = older;
    this.#state = new Map(state.map((entry) => [entry.name, entry]));
    this.purpose = purpose;
    this.#file = file;
  }

  inputRole(name: string): TensorRole {
    const kept = this.#keptRole(name);
    if (kept) return kept;
    if (name === "image" || name === "features") return { role: name };
    if (name === "augment") return { role: "augment", operations: this.#operations() };
    if (name === "learning_rate") {
      const value = { formula: "constant", value: this.#older.spec.lr } as const;
      return { role: "scalar", scalar: "learning_rate", value };
    }
    const [kind, rest] = partsOf(name);
    if (kind === "mask") {
      const rate = this.#older.spec.dropout_rate;
      return { role: "mask", layer: rest, rate, draw: "scaled_bernoulli", stream: `dropout ${name}` };
    }
    return this.#taskRole(name, kind, rest);
  }

  outputRole(name: string): TensorRole {
    if (name === "features" || name === "augmented") return { role: name };
    const [kind, rest] = partsOf(name);
    if (kind === "next") {
      const kept = this.#keptRole(rest) ?? this.#unknown(name);
      return { ...kept, replaces: rest };
    }
    if (kind === "loss_sum" || kind === "count" || kind === "correct")
      return { role: "figure", task: rest, figure: kind };
    if (kind === "logits" || kind === "probabilities")
      return { role: "prediction", task: rest, prediction: kind };
    return this.#unknown(name);
  }

  #keptRole(name: string): Extract<TensorRole, { role: "state" | "accumulator" }> | undefined {
    const entry = this.#state.get(name);
    if (entry) return entry.of === undefined ? { role: "state" } : { role: "state", of: entry.of };
    const [kind, of] = partsOf(name);
    return kind === "accumulated" ? { role: "accumulator", of } : undefined;
  }

  #taskRole(name: string, kind: string, task: string): TensorRole {
    const { spec, tasks } = this.#older;
    const place = tasks.findIndex((entry) => entry.name === task);
    const { classes } = tasks[place] ?? this.#unknown(name);
    const { label, ...opened } = CLASSES.open({ task, classes });
    const weights = classWeightsOf(spec, opened);
    switch (kind) {
      case "label":
        return { role: "label", task, encoding: label.encoding, missing: label.missing };
      case "task_weight": {
        const value = { formula: "constant", value: Number(taskWeight(spec, place)) } as const;
        return { role: "scalar", scalar: "task_weight", task, value };
      }
      case "inv_count": {
        const value = weights
          ? ({ formula: "inverse_weight", weights: `class_weight/${task}` } as const)
          : ({ formula: "inverse_labelled" } as const);
        return { role: "scalar", scalar: "inverse_count", task, value };
      }
      case "class_weight":
        return { role: "scalar", scalar: "class_weights", task, value: weights ?? this.#unknown(name) };
      default:
        return this.#unknown(name);
    }
  }

  /** train and grad take what the loader leaves; trunk_augmented and augment take all. */
  #operations(): readonly DrawnOperation[] {
    const settings = augmentSettings(this.#older.spec.augment) ?? {};
    const { graph = [] } = this.#older.augment ?? {};
    const isStep = this.purpose === "train" || this.purpose === "grad";
    return drawnOperations(isStep ? settingsOf(settings, graph as readonly AugmentName[]) : settings);
  }

  #unknown(name: string): never {
    const message = `is a bundle of version 1 with a tensor that none has: ${name}`;
    const hint = "compile it again: mttc compile SPEC -o DIR, or for a run: mttc train SPEC --resume";
    throw new MttcError({ code: "E_BUNDLE", message, at: { file: this.#file }, hint });
  }
}

/** The word before the first slash, and what follows it. */
function partsOf(name: string): [kind: string, rest: string] {
  const end = name.indexOf("/");
  return end < 0 ? [name, ""] : [name.slice(0, end), name.slice(end + 1)];
}
