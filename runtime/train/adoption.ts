// A state that another program trained, before it becomes a run: whether it belongs to the experiment, by
// what its file says of the spec, the tasks, the models and the table, and by every tensor. All faults of a
// kind at once, before anything is written.
import { isDeepStrictEqual } from "node:util";
import type { Manifest, StateEntry } from "../../compiler/bundle/manifest.ts";
import { combineTraits } from "../../compiler/combine/combiners.ts";
import { type ErrorCode, type Fault, MttcError, nearestName } from "../../compiler/diagnostics.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { Task, TaskDescription } from "../../compiler/tasks/task.ts";
import type { EvaluationReport } from "../infer/evaluationReport.ts";
import type { PreparedLabels } from "../labels/classes.ts";
import { type ModelHashes, type Resumption, refuseOtherModels, settleSpec } from "../runs/fingerprint.ts";
import { isFiniteTensor } from "../runs/finiteTensors.ts";
import type { ForeignState } from "../runs/foreignState.ts";
import type { RunAdopted } from "../runs/runOrigin.ts";
import { batchesPerEpoch } from "../tables/rowOrder.ts";
import type { EpochReport } from "./events.ts";
import type { Experiment } from "./experiment.ts";
import { gainScalars } from "./judgement.ts";
import { FRESH_SCALING } from "./progress.ts";

/** Faults that are listed one by one. */
const MOST_FAULTS = 20;
const HINT =
  "adopt it with the spec, the labels and the model files that its bundle was compiled from, or compile them as " +
  "they are now and train that bundle";

export class Adoption {
  /** What is gone on with: keys that were not written are the bundle's. */
  readonly experiment: Experiment;
  readonly #state: ForeignState;
  readonly #epochs: number | undefined;
  #stepsPerEpoch = 0;

  private constructor(state: ForeignState, experiment: Experiment, epochs: number | undefined) {
    this.#state = state;
    this.experiment = experiment;
    this.#epochs = epochs;
  }

  /**
   * `epochs`: finished ones, of a file that does not say. E_USAGE where neither says, or both do;
   * E_CKPT_MISMATCH with the keys of the spec in which the bundle was another.
   */
  static of(state: ForeignState, experiment: Experiment, epochs: number | undefined): Adoption {
    const { origin, file } = state;
    refuseNoEpochs(state, epochs);
    refuseEarlierLosses(state, experiment);
    if (!origin) return new Adoption(state, experiment, epochs);
    const { values } = withHint(() => settleSpec(resumption(state, experiment), experiment.given));
    const spec = { ...experiment.spec, ...values };
    return new Adoption({ ...state, origin, file }, { ...experiment, spec }, undefined);
  }

  /** What is to be said before training goes on. */
  get notes(): readonly string[] {
    if (this.#state.origin) return [];
    return [
      `${this.#state.file} does not say which bundle it was trained from: names and shapes of its tensors were ` +
        "compared, not the spec, the order of the classes and the models",
    ];
  }

  /**
   * E_CKPT_MISMATCH where the tasks of the labels are not those of the bundle (other classes, another order),
   * or an epoch of them has other than the steps that the state was trained in.
   */
  compareLabels({ tasks, train }: Pick<PreparedLabels, "tasks" | "train">): void {
    const { origin, file } = this.#state;
    this.#stepsPerEpoch = batchesPerEpoch(train.paths.length, this.experiment.spec.batch_size);
    if (!origin) return;
    const own = openTasks(tasks).map(({ description }) => description);
    const names = new Set([...own, ...origin.tasks].map(({ task }) => task));
    const faults = [...names].flatMap((name): Fault[] => {
      const [before, now] = [origin.tasks, own].map((all) => all.find(({ task }) => task === name));
      const what = differenceOf(before, now);
      const at = { file, path: `tasks.${name}` };
      return what === undefined ? [] : [{ code: "E_CKPT_MISMATCH", message: what, at }];
    });
    if (origin.stepsPerEpoch !== this.#stepsPerEpoch) {
      const message =
        `was trained in epochs of ${origin.stepsPerEpoch} steps, and the training labels give ` +
        `${this.#stepsPerEpoch}: the table is another one`;
      faults.push({ code: "E_CKPT_MISMATCH", message, at: { file, path: "steps_per_epoch" } });
    }
    refuse(faults, HINT);
  }

  /** E_CKPT_MISMATCH where a model file is not the one that the bundle was compiled from. */
  compareModels(models: ModelHashes): void {
    const { origin } = this.#state;
    if (origin) withHint(() => refuseOtherModels(resumption(this.#state, this.experiment), models));
  }

  /** E_CKPT_MISMATCH where the weights that the spec begins with, by their hash, are not the bundle's. */
  compareInitial(sha256: string | undefined): void {
    const { origin, file } = this.#state;
    if (!origin || origin.initial === (sha256 ?? null)) return;
    const message = "the weights that the spec begins with are not those that the bundle began with";
    refuse([{ code: "E_CKPT_MISMATCH", message, at: { file, path: "init_from" } }], HINT);
  }

  /**
   * E_CKPT_MISMATCH with every tensor that lacks, is too many, or has another type or shape than in `state`;
   * E_DIVERGED with those whose numbers are not all finite.
   */
  compareState(state: readonly StateEntry[]): void {
    const { tensors, file } = this.#state;
    const known = new Set(state.map(({ name }) => name));
    const isOptional = (name: string): boolean => FRESH_SCALING.has(name);
    const extra = [...tensors.keys()].filter((name) => !known.has(name) && !isOptional(name));
    const missing = state.filter(({ name }) => !tensors.has(name) && !isOptional(name));
    const fault = (path: string, message: string, code: ErrorCode = "E_CKPT_MISMATCH"): Fault => ({
      ...{ code, message, at: { file, path } },
    });
    refuse(
      [
        ...state.flatMap(({ name, dtype, shape }): Fault[] => {
          const found = tensors.get(name);
          if (!found || (found.dtype === dtype && String(found.shape) === String(shape))) return [];
          return [fault(name, `expected ${dtype}[${shape}], found ${found.dtype}[${found.shape}]`)];
        }),
        ...missing.map(({ name }) => {
          const near = nearestName(name, extra);
          return fault(name, `the tensor is missing${near === undefined ? "" : `; there is "${near}"`}`);
        }),
        ...extra.map((name) => {
          const near = nearestName(
            name,
            missing.map((entry) => entry.name),
          );
          return fault(name, `is no tensor of this state${near === undefined ? "" : `; is it "${near}"?`}`);
        }),
      ],
      HINT,
    );
    const diverged = [...tensors.values()].filter((tensor) => !isFiniteTensor(tensor));
    refuse(
      diverged.map(({ name }) => fault(name, "holds numbers that are not finite", "E_DIVERGED")),
      "the training that saved it had diverged: take a state of before",
    );
  }

  /** How far it was trained: finished epochs, and steps of the next one. After `compareLabels`. */
  get progress(): { readonly epochs: number; readonly steps: number } {
    const { origin } = this.#state;
    if (!origin) return { epochs: this.#epochs ?? 0, steps: 0 };
    const { steps, stepsPerEpoch } = origin;
    return { epochs: Math.floor(steps / stepsPerEpoch), steps: steps % stepsPerEpoch };
  }

  /** The tensors of `state` by name; what only a run on CUDA has begins afresh. After `compareState`. */
  tensorsOf({ state }: Pick<Manifest, "state">): Map<string, Uint8Array> {
    return new Map(
      state.map(({ name }) => {
        const fresh = FRESH_SCALING.get(name)?.slice().buffer ?? new ArrayBuffer(0);
        return [name, this.#state.tensors.get(name)?.data ?? new Uint8Array(fresh)];
      }),
    );
  }

  /** What run.json keeps of it. After `compareLabels`. */
  get record(): RunAdopted {
    const { origin, sha256 } = this.#state;
    const { epochs, steps } = this.progress;
    return { driver: origin?.driver ?? "not known", steps: epochs * this.#stepsPerEpoch + steps, sha256 };
  }
}

/** The report of an epoch that another program trained: of its figures nothing is known. */
export function unseenEpoch(epoch: number, steps: number, tasks: readonly Task[]): EpochReport {
  const unknown = Object.fromEntries(tasks.map(({ name }) => [name, Number.NaN]));
  return {
    ...{ epoch, steps, seconds: 0, waitShare: Number.NaN },
    ...{ trainLoss: unknown, trainAccuracy: {}, taskWeights: unknown },
  };
}

/** The same of the one that a state ends, as it is judged now. */
export function judgedEpoch(
  unseen: EpochReport,
  evaluation: EvaluationReport | undefined,
  tasks: readonly Task[],
): EpochReport {
  const judged = evaluation && { evaluation, scalars: gainScalars(evaluation, tasks) };
  return { ...unseen, ...judged, time: Date.now() };
}

function refuseNoEpochs({ origin, file }: ForeignState, epochs: number | undefined): void {
  if ((origin === undefined) === (epochs !== undefined)) return;
  throw new MttcError({
    code: "E_USAGE",
    message: origin
      ? `the file says how far it was trained, ${origin.steps} steps: leave --epoch away`
      : "the file does not say how far it was trained",
    at: { file },
    ...(origin ? {} : { hint: "--epoch N (API: epoch) says how many epochs are finished" }),
  });
}

/** The losses of its epochs are part of what such a run goes on with, and no state has them. */
function refuseEarlierLosses({ file }: ForeignState, { spec }: Experiment): void {
  if (!combineTraits(spec.combine).readsEarlierLosses) return;
  throw new MttcError({
    code: "E_CKPT_MISMATCH",
    message: `${spec.combine.method} weighs losses by those of the epochs before, which no such file holds`,
    at: { file, path: "combine" },
    hint: "train it with mttc, or with another method",
  });
}

/** The bundle of the state beside the experiment, as a run that is gone on with. */
function resumption({ origin, file }: ForeignState, { spec }: Experiment): Resumption {
  const { spec: stored = {}, models = {} } = origin ?? {};
  return { stored: { spec: stored, models, data: "" }, path: file, spec, runSpec: undefined };
}

/** What `compare` throws, with what helps here. */
function withHint<T>(compare: () => T): T {
  try {
    return compare();
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    const last = error.faults.length - 1;
    const faults = error.faults.map(({ hint: _, ...fault }, i) =>
      i === last ? { ...fault, hint: HINT } : fault,
    );
    throw new MttcError(faults, { cause: error });
  }
}

function refuse(faults: readonly Fault[], hint: string): void {
  const [first] = faults;
  if (!first) return;
  const shown = faults.slice(0, MOST_FAULTS);
  if (faults.length > shown.length)
    shown.push({
      ...first,
      message: `${faults.length - shown.length} more`,
      at: { file: first.at?.file ?? "" },
    });
  throw new MttcError(shown.map((fault, i) => (i === shown.length - 1 ? { ...fault, hint } : fault)));
}

/** What differs in a task, a phrase; undefined where nothing does. */
function differenceOf(
  before: TaskDescription | undefined,
  now: TaskDescription | undefined,
): string | undefined {
  if (!before) return "is no task of the bundle";
  if (!now) return "is a task of the bundle, and none of the spec";
  const facts = JSON.parse(JSON.stringify(now)) as TaskDescription;
  const keys = new Set([...Object.keys(before), ...Object.keys(facts)]);
  const phrases = [...keys].flatMap((key) => {
    const [was, is] = [before[key], facts[key]];
    if (isDeepStrictEqual(was, is)) return [];
    if (!Array.isArray(was) || !Array.isArray(is)) return [`${key} was ${shown(was)}, is ${shown(is)}`];
    const place = Array.from({ length: Math.max(was.length, is.length) }).findIndex(
      (_, i) => !isDeepStrictEqual(was[i], is[i]),
    );
    return [`${key}[${place}] was ${shown(was[place])}, is ${shown(is[place])}`];
  });
  return phrases.length > 0 ? phrases.join("; ") : undefined;
}

function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
