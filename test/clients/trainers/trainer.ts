// What the shared test of trainers asks of a program that trains bundles, in whatever language: that it runs,
// that it shows what it draws, and which parts of CONTRACT.md it leaves out, by name.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ProgramResult, runProgram } from "../../cli/runCli.ts";
import type { DrawCases, Drawn } from "./drawCases.ts";

/** Parts of the contract that a trainer may do without, as long as it says so. */
export type TrainerPart = "images" | "features" | "accumulate" | "augment" | "tags" | "number" | "combine";

/** A program that trains bundles. */
export interface Trainer {
  readonly language: string;
  /** Why it cannot be run on this machine; undefined where it can. */
  missing(): string | undefined;
  /**
   * Builds it, or says which package is not to be had; `cache` is a folder of its own that stays from run to run.
   */
  build(cache: string): Promise<BuiltTrainer | { readonly missing: string }>;
  /** Parts that it refuses, and what it says then. */
  readonly refuses?: Readonly<Partial<Record<TrainerPart, RegExp>>>;
  /**
   * Whether each fault of a bundle, table or image is told in one line `error E_...: ...` with exit code 2.
   * Python's driver of 200 lines promises that of some alone (test/bundle/pythonDriver.test.ts).
   */
  readonly hasTypedErrors: boolean;
}

/** A trainer that is ready to run. */
export interface BuiltTrainer {
  /**
   * Trains BUNDLE on TABLE for `spec.epochs` and writes the state, as state.safetensors is, to OUT; all are
   * paths in `folder`, which is the working directory. Exit code 0 and nothing on stderr, or what was wrong.
   */
  train(folder: string, bundle: string, table: string, out: string): Promise<ProgramResult>;
  /** What it draws for the cases, in their order. */
  draw(cases: DrawCases, folder: string): Promise<Drawn>;
}

/**
 * A trainer that is a program: `ARGV... BUNDLE TABLE OUT` trains, and `DRAWS... FILE` prints the object of
 * `Drawn` as JSON for the object of `DrawCases` in a file.
 */
export function programTrainer(
  argv: readonly string[],
  draws: readonly string[],
  env: Readonly<Record<string, string>> = {},
): BuiltTrainer {
  const run = ([program = "", ...fixed]: readonly string[], args: readonly string[], cwd: string) =>
    runProgram(program, [...fixed, ...args], { cwd, env: { ...process.env, ...env } });
  return {
    train: (folder, bundle, table, out) => run(argv, [bundle, table, out], folder),
    draw: async (cases, folder) => {
      const file = join(folder, "draw-cases.json");
      await writeFile(file, JSON.stringify(cases));
      const { code, stdout, stderr } = await run(draws, [file], folder);
      if (code !== 0 || stderr !== "") throw new Error(`${draws.join(" ")}: ${code}: ${stderr}`);
      return JSON.parse(stdout) as Drawn;
    },
  };
}
