// How far the clients are from mttc: the largest difference of each, for the table that the tests print.
import Table from "cli-table3";
import type { ClientAnswer } from "./clientData.ts";

type Column = "numbers" | "odd pictures";

/** Collects the largest differences, by language. */
export class Differences {
  readonly #largest = new Map<string, Map<string, number>>();

  /** The largest difference of numbers, relative to those over 1; infinite where they are of other tasks. */
  add(
    language: string,
    column: Column,
    got: readonly ClientAnswer[],
    wanted: readonly Pick<ClientAnswer, "task" | "numbers">[],
  ): number {
    const isSame = got.map(({ task }) => task).join("\n") === wanted.map(({ task }) => task).join("\n");
    const far = isSame
      ? Math.max(0, ...wanted.flatMap(({ numbers }, t) => distances(got[t]?.numbers ?? [], numbers)))
      : Number.POSITIVE_INFINITY;
    this.#note(language, column, far);
    return far;
  }

  /** The mean difference of pixels, in levels of 255. */
  pixels(language: string, file: string, got: Uint8Array, wanted: Uint8Array): number {
    const mean = got.reduce((sum, level, i) => sum + Math.abs(level - (wanted[i] ?? 0)), 0) / got.length;
    this.#note(language, file, mean);
    return mean;
  }

  /** The table, a row a language; nothing where none ran. */
  print(): void {
    if (this.#largest.size === 0) return;
    const columns = [...new Set([...this.#largest.values()].flatMap((row) => [...row.keys()]))];
    const table = new Table({ head: ["largest difference", ...this.#largest.keys()] });
    for (const column of columns)
      table.push([
        column,
        ...[...this.#largest.values()].map((row) => row.get(column)?.toPrecision(2) ?? "refused"),
      ]);
    console.log(
      `${table.toString()}\nFiles: mean levels of 255 of their pixels. Numbers: of what a model answers.`,
    );
  }

  #note(language: string, column: string, far: number): void {
    const row = this.#largest.get(language) ?? new Map<string, number>();
    row.set(column, Math.max(row.get(column) ?? 0, far));
    this.#largest.set(language, row);
  }
}

function distances(got: readonly number[], wanted: readonly number[]): number[] {
  if (got.length !== wanted.length) return [Number.POSITIVE_INFINITY];
  return wanted.map((number, i) => Math.abs(number - (got[i] ?? Number.NaN)) / Math.max(1, Math.abs(number)));
}
