// Weights of another network as what training starts from: tensors by name and shape, and of the dense layer
// of a head the classes (tags, numbers) that both have. Pure; it remembers what was taken, what was not and
// why, for whoever tells it. In: tensors by name; out: the initial values of compile().
import { classKey } from "../spec/classKey.ts";
import type { AdoptedUnit, Task } from "../tasks/task.ts";
import { type InitialValues, initialValue } from "./initialValues.ts";
import { denseParameters } from "./layers.ts";
import { type Parameter, partOfTask } from "./parameters.ts";

/** A tensor of the other network, row-major float32. */
export interface SourceTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Another network: its weights by name, and the tasks that its heads are of. */
export interface WeightSource {
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  readonly tasks: readonly Task[];
  /** Why it has no tensor of a name, as a clause, where that is known. */
  readonly lacks?: ((name: string) => string | undefined) | undefined;
}

/** What became of a parameter: all of it is taken, a part (of a dense layer), or nothing. */
interface Outcome {
  readonly part: string;
  readonly trained: boolean;
  readonly data: Float32Array | undefined;
  /** Why not, or not all. */
  readonly reason: string | undefined;
}

/** What was taken of a part of the network. */
export interface AdoptedPart {
  /** `fcn`, `shared_layers` or `tasks.<task>`. */
  readonly part: string;
  /** Parameters, and those of them that were taken (of a dense layer: some of it at least). */
  readonly parameters: number;
  readonly taken: number;
  /** The different reasons for what was not. */
  readonly reasons: readonly string[];
  /** Of a head: names of its numbers that were taken, and of those that begin anew. */
  readonly units?: {
    readonly are: string;
    readonly taken: readonly string[];
    readonly fresh: readonly string[];
  };
}

export class AdoptedWeights implements InitialValues {
  readonly #source: WeightSource;
  readonly #seed: number;
  /** Tasks by the names of their dense layers' parameters. */
  readonly #dense: ReadonlyMap<string, Task>;
  readonly #tasks: readonly Task[];
  readonly #outcomes = new Map<string, Outcome>();

  /** `tasks` of the network that is to be trained, `seed` of what begins anew. */
  constructor(source: WeightSource, tasks: readonly Task[], seed: number) {
    this.#source = source;
    this.#seed = seed;
    this.#tasks = tasks;
    this.#dense = new Map(
      tasks.flatMap((task) => Object.values(denseParameters(task.name)).map((name) => [name, task] as const)),
    );
  }

  /** The value of a parameter; undefined where it begins anew. The weight of a task always does. */
  get(name: string, parameter: Parameter): Float32Array | undefined {
    if (parameter.role === "log_variance") return undefined;
    const known = this.#outcomes.get(name);
    if (known) return known.data;
    const { part, trained } = parameter;
    const outcome = { part, trained, ...this.#adopt(name, parameter) };
    this.#outcomes.set(name, outcome);
    return outcome.data;
  }

  /** Parameters that were asked for, and those of them that were taken. */
  get counts(): { readonly parameters: number; readonly taken: number } {
    const outcomes = [...this.#outcomes.values()];
    return { parameters: outcomes.length, taken: outcomes.filter(({ data }) => data).length };
  }

  /** Values taken for parameters that training does not change, by name. */
  get frozen(): ReadonlyMap<string, Float32Array> {
    const found = [...this.#outcomes].flatMap(([name, { trained, data }]) =>
      trained || !data ? [] : [[name, data] as const],
    );
    return new Map(found);
  }

  /** By part of the network, in its order. */
  get parts(): readonly AdoptedPart[] {
    const all = [...this.#outcomes.values()];
    return [...new Set(all.map(({ part }) => part))].map((part): AdoptedPart => {
      const outcomes = all.filter((outcome) => outcome.part === part);
      const task = this.#tasks.find(({ name }) => partOfTask(name) === part);
      const reasons = outcomes.flatMap(({ reason }) => (reason === undefined ? [] : [reason]));
      return {
        ...{ part, parameters: outcomes.length, taken: outcomes.filter(({ data }) => data).length },
        reasons: [...new Set(reasons)],
        ...(task ? { units: this.#unitsOf(task) } : {}),
      };
    });
  }

  /** Tasks of the other network that this one has not. */
  get otherTasks(): readonly string[] {
    const own = new Set(this.#tasks.map(({ name }) => name));
    return this.#source.tasks.map(({ name }) => name).filter((name) => !own.has(name));
  }

  #adopt(name: string, parameter: Parameter): Pick<Outcome, "data" | "reason"> {
    const { shape, part } = parameter;
    const head = this.#tasks.find((each) => partOfTask(each.name) === part);
    const theirs = head && this.#taskNamed(head.name);
    if (head && !theirs) return { data: undefined, reason: "there is no such task there" };
    const task = this.#dense.get(name);
    const tensor = this.#source.tensors.get(name);
    if (!tensor) return { data: undefined, reason: this.#source.lacks?.(name) ?? `${name} is not there` };
    if (task && theirs) return this.#adoptDense(parameter, tensor, { task, theirs });
    if (String(tensor.shape) !== String(shape))
      return { data: undefined, reason: otherShape(name, tensor, shape) };
    return { data: tensor.data.slice(), reason: undefined };
  }

  /** The last axis of both has the numbers of the tasks. */
  #adoptDense(
    parameter: Parameter,
    tensor: SourceTensor,
    { task, theirs }: { readonly task: Task; readonly theirs: Task },
  ): Pick<Outcome, "data" | "reason"> {
    const { name, shape, role } = parameter;
    const before = tensor.shape.at(-1) ?? 0;
    const isAlike =
      String(tensor.shape.slice(0, -1)) === String(shape.slice(0, -1)) && before === theirs.width;
    if (!isAlike) return { data: undefined, reason: otherShape(name, tensor, shape) };
    const units = unitsFrom(task, theirs);
    if (units.every((unit) => unit === undefined))
      return { data: undefined, reason: noneInCommon(task, theirs) };
    const data = initialValue(parameter, this.#seed);
    const rows = data.length / task.width;
    for (const [unit, source] of units.entries())
      for (let row = 0; source && row < rows; row++) {
        const scaled = source.scale * (tensor.data[row * before + source.from] ?? 0);
        data[row * task.width + unit] =
          role === "bias" && source.shift !== 0 ? scaled + source.shift : scaled;
      }
    return { data, reason: undefined };
  }

  #unitsOf(task: Task): NonNullable<AdoptedPart["units"]> {
    const theirs = this.#taskNamed(task.name);
    const { kernel } = denseParameters(task.name);
    const isTaken = this.#outcomes.get(kernel)?.data !== undefined;
    const units = theirs && isTaken ? unitsFrom(task, theirs) : [];
    return {
      are: task.numbersAre,
      taken: task.numbers.filter((_, i) => units[i] !== undefined),
      fresh: task.numbers.filter((_, i) => units[i] === undefined),
    };
  }

  #taskNamed(name: string): Task | undefined {
    return this.#source.tasks.find((task) => task.name === name);
  }
}

/** Where each number of `mine` comes from among those of `theirs`. */
function unitsFrom(mine: Task, theirs: Task): readonly (AdoptedUnit | undefined)[] {
  if (mine.kind !== theirs.kind) return mine.numbers.map(() => undefined);
  if (mine.unitsFrom) return mine.unitsFrom(theirs);
  const exact = new Map(theirs.numbers.map((name, i) => [name, i]));
  const byKey = new Map(theirs.numbers.map((name, i) => [classKey(name), i]));
  return mine.numbers.map((name) => {
    const from = exact.get(name) ?? byKey.get(classKey(name));
    return from === undefined ? undefined : { from, scale: 1, shift: 0 };
  });
}

function noneInCommon(mine: Task, theirs: Task): string {
  return mine.kind === theirs.kind
    ? `no ${mine.numbersAre} in common`
    : `a task of ${theirs.numbersAre} there`;
}

function otherShape(name: string, { shape: there }: SourceTensor, here: readonly number[]): string {
  return `${name} is [${there}] there, [${here}] here`;
}
