// The folder of a sweep: sweep.json (what is varied, how far each run is), a folder per run, sweep.png, and
// the cache that its runs share. sweep.json is replaced whole whenever a run has come further.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { parseJson } from "../files/jsonText.ts";

export const SWEEP_FILE = "sweep.json";
export const SWEEP_SHEET = "sweep.png";
export const SHARED_CACHE = "cache";
const FORMAT = "mttc-sweep";
const VERSION = 1;

const axisSchema = z.union([
  z.object({
    ...{ key: z.string(), low: z.number(), high: z.number(), scale: z.enum(["linear", "log"]) },
    ...{ isInteger: z.boolean(), points: z.number().optional() },
  }),
  z.object({ key: z.string(), values: z.array(z.unknown()).readonly() }),
]);

/** JSON has no NaN: it is null there. */
const figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

const resultSchema = z.object({
  point: z.record(z.string(), z.unknown()),
  /** Finished epochs. */
  epochs: z.int().nonnegative(),
  /** Seconds that these took. */
  seconds: z.number(),
  /** Gain over the baselines after each epoch, the mean over the tasks. */
  gains: z.array(figure),
  /** Mean over the tasks of the validation loss of the last epoch: of equal gains the lower one is better. */
  loss: figure,
  /** Figures of the best epoch by `task/figure`. */
  figures: z.record(z.string(), figure),
  /** Why it does not train on, where something went wrong. */
  failed: z.string().optional(),
});

const stateSchema = z.object({
  format: z.literal(FORMAT),
  version: z.int().min(1).max(VERSION),
  axes: z.array(axisSchema),
  grid: z.boolean(),
  seed: z.number(),
  epochs: z.int().positive(),
  /** Each round passes one of so many runs on. */
  factor: z.number(),
  /** The spec that is varied, as resolved, as JSON. */
  spec: z.string(),
  runs: z.array(resultSchema),
});

/** One run of a sweep: its values, and what has come of it. */
export type SweepRun = z.output<typeof resultSchema>;
/** All that sweep.json holds. */
export type SweepState = Omit<z.output<typeof stateSchema>, "format" | "version">;

/** The folder of a run, by its number from 1. */
export function runFolderName(number: number): string {
  return `run-${String(number).padStart(3, "0")}`;
}

/** Reads sweep.json; undefined where there is none. E_FILE; E_CONFIG_PARSE where it is not one. */
export async function readSweep(directory: string): Promise<SweepState | undefined> {
  const file = join(directory, SWEEP_FILE);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, file, "read");
  }
  const json = parseJson(text);
  const version = z.object({ version: z.int().gt(VERSION) }).safeParse(json).data?.version;
  if (version !== undefined) {
    const message = `the sweep has version ${version}; this mttc reads ${VERSION}`;
    throw new MttcError({ code: "E_CONFIG_PARSE", message, at: { file }, hint: "update mttc" });
  }
  const parsed = stateSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const message = `not what mttc wrote: ${issue?.path.join(".")}: ${issue?.message}`;
  throw new MttcError({ code: "E_CONFIG_PARSE", message, at: { file } }, { cause: parsed.error });
}

/** Writes sweep.json; NaN becomes null. E_FILE, E_DISK. */
export async function writeSweep(directory: string, state: SweepState): Promise<void> {
  const json = JSON.stringify({ format: FORMAT, version: VERSION, ...state }, null, 1);
  await writeFileAtomically(join(directory, SWEEP_FILE), `${json}\n`);
}
