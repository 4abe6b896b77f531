// Every way in which mttc refuses its input. One catalogue of stable codes; an error says where, what was
// expected, what was found, and, where it can, what to do. The CLI prints them without a stack and exits
// with their exit code.
import { distance } from "fastest-levenshtein";
import { visibleText } from "./visibleText.ts";

/** Stable error codes, each with the one-line meaning that `mttc` documents. */
export const ERROR_CODES = {
  E_CONFIG: "the spec has a fault",
  E_CONFIG_PARSE: "the spec is not YAML or JSON",
  E_FILE: "a file cannot be read or written",
  E_DISK: "the disk is full or the size limit of a file is reached",
  E_PATH_TYPE: "a path names something that is not a regular file",
  E_PATH_ESCAPE: "a path leads out of the folder that it must stay in",
  E_CSV_HEADER: "the first line of a label table is not usable",
  E_CSV_SHAPE: "a label table has no rows, or rows of unequal length",
  E_CSV_LINE: "a line of a label table is too long",
  E_CSV_PATH: "a file path in a label table is not usable",
  E_LABEL: "a label is not one of the task's classes",
  E_TASK_EMPTY: "a task has no labels",
  E_IMG_FORMAT: "an image has a format that is not read",
  E_IMG_TRUNCATED: "an image is damaged or cut short",
  E_IMG_LIMIT: "an image is larger than the limits",
  E_IMG_SIZE: "an image is smaller than the limits",
  E_IMG_CHANNELS: "an image has another number of channels than num_channels",
  E_IMG_HASH: "an image is not the one that a manifest was written from",
  E_SPLIT_LEAK: "an image is in the training and in the validation labels",
  E_DATA_CHANGED: "an image or a label table is not what it was when it was checked or packed",
  E_SHARD_META: "a file of packed images is cut or of another recipe",
  E_SHARD_CRC: "a file of packed images is damaged",
  E_DATA_STUCK: "reading an image does not end",
  E_DATA_WORKER: "the thread that reads images was lost",
  E_SHAPE: "shapes do not fit together",
  E_NOT_DIFFERENTIABLE: "an operator on the way to a trained parameter has no derivative",
  E_CUDA_KERNEL: "an operator has no CUDA kernel and is left to the CPU",
  E_MODEL_PARSE: "a model file cannot be parsed",
  E_MODEL_OP: "a model file has an operator or layer that is not supported",
  E_MODEL_SHAPE: "shapes in an ONNX file do not fit together, or not the images",
  E_MODEL_DATA: "numbers of an ONNX file are missing, of a wrong size or of a type that is not read",
  E_MODEL_PATH: "an ONNX file names a data file that is not a plain file in its own folder",
  E_MODEL_ALLOC: "an ONNX file asks for more memory than is sensible",
  E_MODEL_OUTPUT: "a model file has no value of the name that was asked for, or none to take features from",
  E_MODEL_META: "an ONNX file does not say what mttc needs to know to run it",
  E_CUDA_SETUP: "the CUDA provider cannot be brought here",
  E_MPI_SETUP: "the libraries that several processes need cannot be brought here",
  E_MPI_LIBRARY: "MPI's library is missing or cannot be used",
  E_MPI: "MPI reported an error",
  E_NCCL: "NCCL reported an error",
  E_CUDA_LIBRARY: "a library that training on CUDA needs is missing",
  E_CUDA_DEVICE: "there is no usable CUDA device",
  E_DEVICE_MEMORY: "the device has too little memory",
  E_ORT_LOAD: "ONNX Runtime's library cannot be loaded",
  E_ORT: "ONNX Runtime reported an error",
  E_ORT_BINDING: "tensors do not fit the graph that they are given to",
  E_ST_HEADER: "the header of a safetensors file is not usable",
  E_ST_LAYOUT: "the data of a safetensors file does not tile it",
  E_CKPT_NONE: "a run has no usable checkpoint",
  E_CKPT_MISMATCH: "a checkpoint does not belong to this model",
  E_CKPT_CORRUPT: "a checkpoint is damaged",
  E_RUN_LOCKED: "another trainer works in this run directory",
  E_RUN_EXISTS: "an output would replace another run, or what mttc did not write",
  E_BUNDLE: "a compiled bundle is incomplete or damaged",
  E_PARITY: "an exported model does not agree with the trainer",
  E_DIVERGED: "the loss is not finite",
  E_SINK: "what a run logs does not arrive where it is sent to",
  E_RANKS: "the processes of a run do not come together",
  E_RANK_LOST: "another process of the run has ended or does not answer",
  E_RANK_STATE: "the processes of a run hold different weights",
  E_INTERRUPTED: "the user interrupted the work",
  E_USAGE: "the command line is not usable",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Where a fault lies: any of file, line and column (1-based), spec path, graph node and origin. */
export interface Location {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly path?: string;
  readonly node?: string;
  readonly origin?: string;
}

/** One fault of the input: `expected` and `found` are short phrases, `hint` says what to do. */
export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
  readonly at?: Location;
  readonly hint?: string;
}

/** A typed error that carries one or more faults; `exitCode` is 2, or 130 for an interrupt. */
export class MttcError extends Error {
  readonly faults: readonly Fault[];
  constructor(faults: Fault | readonly Fault[], options?: { cause?: unknown }) {
    const list = "code" in faults ? [faults] : faults;
    super(list.map(formatFault).join("\n"), options);
    this.name = "MttcError";
    this.faults = list;
  }
  get code(): ErrorCode {
    return this.faults[0]?.code ?? "E_CONFIG";
  }
  get exitCode(): number {
    return this.code === "E_INTERRUPTED" ? 130 : 2;
  }
}

/** A broken invariant of mttc itself, never the user's fault; the CLI asks for a report and exits with 70. */
export class InternalError extends Error {
  override readonly name = "InternalError";
}

/**
 * `file:line:column: path: message [CODE]` and the hint on a line of its own. What a terminal would obey in
 * names that it quotes is shown escaped.
 */
export function formatFault(fault: Fault): string {
  const { at } = fault;
  const place = [at?.file, at?.line, at?.column].filter((part) => part !== undefined).join(":");
  const inside = at?.path ?? at?.node;
  const origin = at?.origin ? ` (from ${at.origin})` : "";
  const where = [place, inside].filter((part) => part !== undefined && part !== "").join(": ");
  const hint = fault.hint ? `\n  ${visibleText(fault.hint)}` : "";
  const line = visibleText(`${where ? `${where}: ` : ""}${fault.message}${origin} [${fault.code}]`);
  return `${line}${hint}`;
}

/** Letters from which on a name may be meant as a part of another. */
const MIN_PART = 3;

/** Longer than any name. */
const MAX_NAME = 1e9;

/** The candidates near enough to `name` by edit distance to be what was meant, the closest first. */
export function closeNames(name: string, candidates: Iterable<string>, most = 3): readonly string[] {
  const limit = Math.max(2, Math.floor(name.length / 3));
  const wanted = name.toLowerCase();
  const near = [...candidates].flatMap((candidate) => {
    const known = candidate.toLowerCase();
    const more = known.length - wanted.length;
    // Behind what is as near by letters; of those that hold the name the shortest comes first.
    if (wanted.length >= MIN_PART && more > limit && known.includes(wanted))
      return [{ candidate, edits: 1 + more / MAX_NAME }];
    // Lengths that differ by more than the limit are never so near: most of a long list is passed over.
    if (Math.abs(more) > limit) return [];
    const edits = distance(wanted, known);
    // Without a letter in common it is only as good as nothing.
    const isOther = edits >= Math.max(wanted.length, known.length);
    return edits <= limit ? [{ candidate, edits: isOther ? Number.POSITIVE_INFINITY : edits }] : [];
  });
  // Stable: of equally near ones the first comes first.
  return near
    .sort((a, b) => (a.edits === b.edits ? 0 : a.edits - b.edits))
    .filter(({ edits }, i) => i === 0 || Number.isFinite(edits))
    .slice(0, most)
    .map(({ candidate }) => candidate);
}

/** The candidate closest to `name`, if it is close enough to be what was meant. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  return closeNames(name, candidates, 1)[0];
}

/** Names that are listed where none is near. */
const MAX_LISTED = 50;

/** "did you mean "x" or "y"?" when something is near, else the list of what there is, the first 50. */
export function suggestName(name: string, candidates: readonly string[]): string {
  const near = closeNames(name, candidates).map((each) => `"${each}"`);
  const last = near.pop();
  if (last === undefined) {
    const rest = candidates.length - MAX_LISTED;
    return `one of: ${candidates.slice(0, MAX_LISTED).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
  }
  return `did you mean ${near.length > 0 ? `${near.join(", ")} or ` : ""}${last}?`;
}

/** `value`, which our own code says is there; InternalError "<what> is missing" where it is not. */
export function need<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new InternalError(`${what} is missing`);
  return value;
}
