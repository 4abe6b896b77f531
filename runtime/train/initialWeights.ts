// The spec's `init_from` while a run begins: what is read, what of it the compiler took, said once as a
// table, and what the run's folder keeps of it, so that going on does not need the source.
import { resolve } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { type AdoptedPart, AdoptedWeights } from "../../compiler/model/adoptedWeights.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import type { Parameter } from "../../compiler/model/parameters.ts";
import type { ModelSpec, RunSpec, StepSpec } from "../../compiler/spec/schema.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { FrozenWeight } from "../runs/frozenWeights.ts";
import type { RunInit } from "../runs/runOrigin.ts";
import { type ReadWeights, readWeightSource } from "./weightSource.ts";

/** Names, and reasons, that a line of the table lists. */
const MOST_LISTED = 5;

/** What a spec says of its begin. */
export type InitialSpec = Pick<RunSpec, "init_from"> &
  Pick<StepSpec, "seed"> &
  Pick<ModelSpec, "norm" | "single_channel" | "num_channels">;

export class InitialWeights {
  /** For compile(). */
  readonly values: AdoptedWeights;
  readonly #source: ReadWeights;
  readonly #spec: InitialSpec;

  private constructor(source: ReadWeights, spec: InitialSpec, classes: TaskClasses) {
    this.#source = source;
    this.#spec = spec;
    this.values = new AdoptedWeights(source, openTasks(classes), spec.seed);
  }

  /** Reads what the spec's `init_from` names; undefined where it names nothing. What readWeightSource throws. */
  static async read(
    spec: InitialSpec,
    baseDirectory: string,
    classes: TaskClasses,
  ): Promise<InitialWeights | undefined> {
    const { init_from: named } = spec;
    if (named === null) return undefined;
    return new InitialWeights(await readWeightSource(resolve(baseDirectory, named), named), spec, classes);
  }

  /** SHA-256 (hex) of all weights of the source. */
  get sha256(): string {
    return this.#source.sha256;
  }

  /** After a compilation: E_CONFIG where nothing of the source fits the network. */
  refuseNone(): void {
    if (this.values.counts.taken > 0) return;
    const [, ...lines] = this.lines();
    throw new MttcError({
      code: "E_CONFIG",
      message: `nothing of ${this.#source.title} fits this network: ${lines.map((line) => line.trim()).join("; ")}`,
      at: { path: "init_from" },
      hint: "take the line out to begin with drawn values",
    });
  }

  /** What run.json keeps. */
  get record(): RunInit {
    const { kind, epoch, sha256 } = this.#source;
    const own = { kind, sha256, ...this.values.counts };
    return { from: this.#spec.init_from ?? "", ...own, ...(epoch === undefined ? {} : { epoch }) };
  }

  /** Frozen parameters that were taken; `parameters` has their shapes. */
  frozen(parameters: readonly Pick<Parameter, "name" | "shape">[]): FrozenWeight[] {
    const { frozen } = this.values;
    return parameters.flatMap(({ name, shape }) => {
      const data = frozen.get(name);
      return data ? [{ name, shape, data }] : [];
    });
  }

  /** The table of what was taken and what was not, a line each. */
  lines(): string[] {
    const { title, notes, preprocessing } = this.#source;
    const { parts, otherTasks, counts } = this.values;
    const width = Math.max(...parts.map(({ part }) => part.length), 0);
    const rows = parts.map((part) => `  ${part.part.padEnd(width)}  ${partText(part)}`);
    const { norm, single_channel: single, num_channels: channels } = this.#spec;
    const greyscale = single || channels === 1;
    const differs = [
      ...(preprocessing.norm === norm ? [] : [`norm ${preprocessing.norm}, here ${norm}`]),
      ...(preprocessing.greyscale === greyscale
        ? []
        : [preprocessing.greyscale ? "grey, here in colour" : "in colour, here grey"]),
    ];
    return [
      `init_from: ${counts.taken} of ${counts.parameters} tensors are those of ${title}:`,
      ...rows,
      ...(otherTasks.length > 0 ? [`  not taken: tasks that are not here: ${listed(otherTasks)}`] : []),
      ...(differs.length > 0 ? [`  its images are read otherwise there: ${differs.join(", ")}`] : []),
      ...notes,
    ];
  }
}

function partText({ parameters, taken, reasons, units }: AdoptedPart): string {
  const some = taken === parameters ? `${taken} tensors taken` : `${taken} of ${parameters} tensors taken`;
  const classes = units && taken > 0 ? [unitsText(units)] : [];
  return [some, ...classes, ...reasons.slice(0, MOST_LISTED), ...more(reasons.length)].join("; ");
}

function unitsText({ are, taken, fresh }: NonNullable<AdoptedPart["units"]>): string {
  if (fresh.length === 0) return `all ${are} (${taken.length})`;
  const all = taken.length + fresh.length;
  return `${taken.length} of ${all} ${are}, ${listed(fresh)} begin anew`;
}

function listed(names: readonly string[]): string {
  return [...names.slice(0, MOST_LISTED), ...more(names.length)].join(", ");
}

function more(count: number): string[] {
  return count > MOST_LISTED ? [`${count - MOST_LISTED} more`] : [];
}
