// A state that another program than mttc trained, as CONTRACT.md has drivers save it: a safetensors file
// whose metadata are those that the bundle gave it, and how far it was trained; or a checkpoint of ONNX
// Runtime Training, whose properties are. It is read from untrusted bytes.
import { createHash } from "node:crypto";
import { z } from "zod";
import { STATE_FORMAT, STATE_VERSION } from "../../compiler/bundle/bundleFiles.ts";
import { decodeSafetensors, type StoredTensor } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { TaskDescription } from "../../compiler/tasks/task.ts";
import { fileError, nodeFileSystem } from "../files/fileSystem.ts";
import { parseJson } from "../files/jsonText.ts";
import type { Fingerprint } from "./fingerprint.ts";
import { readOrtState } from "./ortCheckpointState.ts";

/** Deepest nesting of an experiment; specs nest half as deep. */
const MAX_DEPTH = 40;
const MAX_STEPS = 1e12;

/** A foreign state; what it does not say is undefined. */
export interface ForeignState {
  readonly file: string;
  /** Of the file's bytes, hex. */
  readonly sha256: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly origin: ForeignOrigin | undefined;
}

/** What the metadata of a foreign state say. */
export interface ForeignOrigin {
  readonly models: Fingerprint["models"];
  /** The spec of its bundle, resolved. */
  readonly spec: Readonly<Record<string, unknown>>;
  readonly tasks: readonly TaskDescription[];
  readonly initial: string | null;
  /** Steps of the optimizer that were done in all, and those of an epoch. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** What trained it, in its own words. */
  readonly driver: string;
}

const experimentSchema = z.object({
  spec: z.record(z.string(), z.unknown()),
  models: z.object({ fcn: z.string().optional(), teacher: z.string().optional() }),
  tasks: z.array(z.looseObject({ task: z.string() })),
  initial: z.string().nullable(),
});
const count = z
  .string()
  .regex(/^\d{1,15}$/, "expected a whole number in digits")
  .transform(Number)
  .refine((value) => value <= MAX_STEPS, `expected at most ${MAX_STEPS}`);
const metadataSchema = z.object({
  format: z.literal(STATE_FORMAT),
  version: z.literal(String(STATE_VERSION)),
  experiment: z.string(),
  steps: count,
  steps_per_epoch: count.refine((value) => value > 0, "expected at least 1"),
  driver: z.string().min(1).max(100),
});

/**
 * Reads a state; `origin` is undefined where its metadata are not a driver's. E_FILE; E_ST_HEADER,
 * E_ST_LAYOUT where it is no safetensors file, and what readOrtState throws; E_CKPT_CORRUPT where its
 * metadata are none that CONTRACT.md describes; E_CKPT_MISMATCH where they are of a later version.
 */
export async function readForeignState(file: string): Promise<ForeignState> {
  let bytes: Uint8Array;
  try {
    bytes = await nodeFileSystem.readFile(file);
  } catch (error) {
    throw fileError(error, file, "read the trained state");
  }
  const { tensors, metadata } = readOrtState(bytes, file) ?? decodeSafetensors(bytes, file);
  // Libraries write metadata of their own: {"format": "pt"}.
  const isSilent = metadata.format !== STATE_FORMAT;
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { file, sha256, tensors, origin: isSilent ? undefined : readOrigin({ ...metadata }, file) };
}

function readOrigin(metadata: Readonly<Record<string, string>>, file: string): ForeignOrigin {
  const { format, version } = metadata;
  if (format === STATE_FORMAT && /^\d+$/.test(version ?? "") && Number(version) > STATE_VERSION) {
    const message = `is a state of version ${version}, this mttc reads ${STATE_VERSION}`;
    throw new MttcError({ code: "E_CKPT_MISMATCH", message, at: { file }, hint: "update mttc" });
  }
  const parsed = metadataSchema.safeParse(metadata);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw noState(file, `__metadata__: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { steps, steps_per_epoch: stepsPerEpoch, driver, experiment: text } = parsed.data;
  const json = parseJson(text);
  const experiment = json !== undefined && isShallow(json) ? experimentSchema.safeParse(json) : undefined;
  if (!experiment?.success) {
    const [issue] = experiment?.error.issues ?? [];
    const what = issue ? `${issue.path.join(".")}: ${issue.message}` : "is not JSON, or nests too deep";
    throw noState(file, `__metadata__: experiment: ${what}`);
  }
  return { ...experiment.data, steps, stepsPerEpoch, driver };
}

function noState(file: string, what: string): MttcError {
  const hint =
    "a driver copies the strings of the manifest's `checkpoint` as they are, and adds `steps`, " +
    "`steps_per_epoch` and `driver` (compiler/bundle/CONTRACT.md, State and checkpoints)";
  return new MttcError({ code: "E_CKPT_CORRUPT", message: what, at: { file }, hint });
}

/** Whether a JSON value nests no deeper than a spec could; without recursion, whose stack a deep one ends. */
function isShallow(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return false;
    level = level.flatMap((each) => (typeof each === "object" && each !== null ? Object.values(each) : []));
  }
  return true;
}
