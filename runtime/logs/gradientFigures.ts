// What steps tell of their tasks' gradients, as named figures: the cosine of each pair and whether it is
// below 0, the norm of each task and the weight that it took part with; and the means of these over the
// steps in which they are known.

/** What one step tells. */
export interface GradientMeasures {
  /** Products of the tasks' gradients, row-major [tasks x tasks]: rows of absent tasks are 0. */
  readonly gram?: ArrayLike<number> | undefined;
  /** Weights that the gradients or losses were combined with, of the tasks that took part. */
  readonly weights?: ReadonlyMap<string, number> | undefined;
}

/** Sums of figures by name, and in how many steps each was known. */
export type FigureSums = Readonly<Record<string, readonly [sum: number, steps: number]>>;

/** Pairs that an entry by step tells; of more, the means of epochs tell all. */
const MOST_PAIRS_BY_STEP = 120;

/** Name of the figure of a pair, in the order of the tasks. */
export function cosineName(a: string, b: string): string {
  return `cosine/${a}/${b}`;
}

/** Name of the figure that is the share of steps in which a pair's gradients pull apart. */
export function conflictName(a: string, b: string): string {
  return `conflict/${a}/${b}`;
}

export function normName(task: string): string {
  return `gradient_norm/${task}`;
}

export function combineWeightName(task: string): string {
  return `combine_weight/${task}`;
}

/** Two tasks by place, and the names of their figures. */
interface TaskPlaces {
  readonly a: number;
  readonly b: number;
  readonly cosine: string;
  readonly conflict: string;
}

/** Figures of steps of these tasks. */
export class GradientFigures {
  readonly #tasks: readonly string[];
  readonly #pairs: readonly TaskPlaces[];
  readonly #epoch: FigureMeans;
  #entry = new FigureMeans();

  /** `begun`: what an epoch that is gone on with has summed up. */
  constructor(tasks: readonly string[], begun: FigureSums = {}) {
    this.#tasks = tasks;
    this.#epoch = new FigureMeans(begun);
    this.#pairs = tasks.flatMap((first, a) =>
      tasks.slice(a + 1).map((second, k) => ({
        ...{ a, b: a + 1 + k },
        cosine: cosineName(first, second),
        conflict: conflictName(first, second),
      })),
    );
  }

  /** Sums over the epoch so far. */
  get sums(): FigureSums {
    return this.#epoch.sums;
  }

  /** Takes in what a step tells. */
  add({ gram, weights }: GradientMeasures): void {
    if (gram) this.#addGram(gram);
    for (const [task, weight] of weights ?? []) this.#addFigure(combineWeightName(task), weight);
  }

  /** Means since the last entry, which begins anew; of many tasks without the pairs. */
  takeEntry(): Readonly<Record<string, number>> {
    const means = this.#entry.means();
    this.#entry = new FigureMeans();
    if (this.#pairs.length <= MOST_PAIRS_BY_STEP) return means;
    const pairs = new Set(this.#pairs.flatMap(({ cosine, conflict }) => [cosine, conflict]));
    return Object.fromEntries(Object.entries(means).filter(([name]) => !pairs.has(name)));
  }

  #addGram(gram: ArrayLike<number>): void {
    // A step whose gradients overflowed tells nothing.
    for (let place = 0; place < gram.length; place++) if (!Number.isFinite(gram[place])) return;
    const count = this.#tasks.length;
    const norms = this.#tasks.map((_, t) => Math.sqrt(gram[t * count + t] ?? 0));
    // A task without a label has no gradient, and one whose gradient is 0 no direction.
    for (const [t, task] of this.#tasks.entries())
      if ((norms[t] ?? 0) > 0) this.#addFigure(normName(task), norms[t] ?? 0);
    for (const { a, b, ...names } of this.#pairs) {
      const [ofA, ofB] = [norms[a] ?? 0, norms[b] ?? 0];
      if (!(ofA > 0 && ofB > 0)) continue;
      const cosine = (gram[a * count + b] ?? 0) / ofA / ofB;
      this.#addFigure(names.cosine, Math.min(1, Math.max(-1, cosine)));
      this.#addFigure(names.conflict, cosine < 0 ? 1 : 0);
    }
  }

  #addFigure(name: string, value: number): void {
    if (!Number.isFinite(value)) return;
    this.#epoch.add(name, value);
    this.#entry.add(name, value);
  }
}

/** Means of figures over the steps that know them. */
export class FigureMeans {
  readonly #sums: Map<string, readonly [number, number]>;

  constructor(begun: FigureSums = {}) {
    this.#sums = new Map(Object.entries(begun));
  }

  get sums(): FigureSums {
    return Object.fromEntries(this.#sums);
  }

  add(name: string, value: number): void {
    const [sum, steps] = this.#sums.get(name) ?? [0, 0];
    this.#sums.set(name, [sum + value, steps + 1]);
  }

  means(): Readonly<Record<string, number>> {
    return meansOf(this.sums);
  }
}

/** Means of figures of such sums. */
export function meansOf(sums: FigureSums): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(sums).map(([name, [sum, steps]]) => [name, sum / steps]));
}
