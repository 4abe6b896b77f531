// The sittings of a run: each time that training was started or gone on with, on which machine, by which
// versions, and what was said. <logdir>/sittings.json; nothing that training computes depends on it.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { parseJson } from "../files/jsonText.ts";
import { textMark } from "../files/ownOutput.ts";

export const SITTINGS_FILE = "sittings.json";
const FORMAT = "mttc-sittings";
/** How a record of ours is known. */
export const SITTINGS_MARK = textMark("a record of sittings", `{\n "format": "${FORMAT}"`);
/** Lines that are kept of a sitting; the newest go. */
const MOST_LINES = 200;
/** Sittings that are kept; the oldest go, but for the first. */
const MOST_SITTINGS = 100;

const machineSchema = z.object({
  /** "linux x64". */
  system: z.string(),
  cpu: z.string(),
  /** Cores that the process may use. */
  cores: z.number(),
  memoryBytes: z.number(),
  node: z.string(),
  mttc: z.string(),
  /** ONNX Runtime's version, and the provider that trained. */
  onnxruntime: z.string(),
  provider: z.string(),
  /** Processes that trained together; the machine is that of the first. */
  ranks: z.number().default(1),
});
const sittingSchema = machineSchema.extend({
  /** The first epoch that it trained or went on with, from 1. */
  epoch: z.number(),
  /** ISO 8601. */
  started: z.string(),
  /** What was logged, in order. */
  lines: z.array(z.string()),
});
const recordSchema = z.object({ format: z.literal(FORMAT), sittings: z.array(sittingSchema) });

/** The machine and the programs that train. */
export type MachineFacts = z.output<typeof machineSchema>;
export type Sitting = z.output<typeof sittingSchema>;

/** What is known of this machine; ONNX Runtime, its provider and the ranks are the caller's. */
export function machineFacts(by: { version: string; provider: string; ranks: number }): MachineFacts {
  const { version, provider, ranks } = by;
  const { version: mttc } = z
    .object({ version: z.string() })
    .parse(createRequire(import.meta.url)("#package"));
  return {
    system: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    ...{ node: process.versions.node, mttc, onnxruntime: version, provider, ranks },
  };
}

/** The sittings of a run, oldest first; none where there is no record, or none of ours. E_FILE. */
export async function readSittings(directory: string): Promise<readonly Sitting[]> {
  const file = join(directory, SITTINGS_FILE);
  try {
    return recordSchema.safeParse(parseJson(await readFile(file, "utf8"))).data?.sittings ?? [];
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError(error, file, "read the run's sittings");
  }
}

/** Writes the sittings of a run whose lock the caller holds. E_FILE, E_DISK. */
export async function writeSittings(directory: string, sittings: readonly Sitting[]): Promise<void> {
  const kept =
    sittings.length > MOST_SITTINGS
      ? [...sittings.slice(0, 1), ...sittings.slice(1 - MOST_SITTINGS)]
      : sittings;
  const record = {
    format: FORMAT,
    sittings: kept.map((sitting) => ({ ...sitting, lines: sitting.lines.slice(0, MOST_LINES) })),
  };
  await writeFileAtomically(join(directory, SITTINGS_FILE), `${JSON.stringify(record, null, 1)}\n`);
}
