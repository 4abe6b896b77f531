// Parity: every exported file, opened anew and run on real images, against the trainer. Files are chained by
// the names of their tensors (trunk -> shared -> head), so that the parts are checked as they will be used.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { ExportedFile } from "../../compiler/export/exportModel.ts";
import { taskOfServed } from "../../compiler/export/modelMetadata.ts";
import type { HostTensor, OrtHost } from "../ort/ortHost.ts";

/** Probabilities may differ by this from the trainer's, other numbers by this share of the largest. */
export const PARITY_TOLERANCE = 1e-5;
/** Images per run: 1 first, then this many, so that more than one batch size is tried. */
const BATCH_IMAGES = 32;

/** Tensors by name, as the files take and give them. */
type Tensors = Map<string, HostTensor>;

/** What the files are compared with. */
export interface ParityReference {
  /** uint8 images [count,H,W,C]. */
  readonly images: HostTensor;
  /** What the trainer's tasks serve, float32 [count, width], row-major: probabilities of classes. */
  readonly probabilities: ReadonlyMap<string, Float32Array>;
  /** Unfolded trunk and shared part, whose outputs the exported ones must give. */
  readonly features: readonly ExportedFile[];
}

/** The largest difference of one output of one file. */
export interface ParityCheck {
  readonly file: string;
  readonly output: string;
  readonly task?: string;
  /** Absolute for probabilities; for other numbers divided by the largest of them. */
  readonly largestDifference: number;
  readonly passed: boolean;
}

/**
 * Opens each of `files` from `folder` in a session of its own and compares. E_PARITY names every output that
 * is off; E_ORT where a file does not run.
 */
export async function checkParity(
  host: OrtHost,
  folder: string,
  files: readonly ExportedFile[],
  reference: ParityReference,
): Promise<ParityCheck[]> {
  const exported = new Map<ExportedFile, NamedGraph>();
  for (const entry of files)
    exported.set(entry, await openNamed(host, entry.file, await readFile(join(folder, entry.file))));
  const truth = new Map<string, NamedGraph>();
  for (const { file, bytes } of reference.features)
    truth.set(file, await openNamed(host, `${file}, not folded`, bytes));
  const differences: Difference[] = [];
  for (const [first, count] of batches(reference.images.shape[0] ?? 0)) {
    const image = rowsOf(reference.images, first, count);
    const ours: Tensors = new Map([["image", image]]);
    const theirs: Tensors = new Map([["image", image]]);
    for (const [entry, graph] of exported) {
      const isAnySize = entry.metadata.preprocessing.resize === "graph";
      const actual = isAnySize ? await runSingly(host, graph, image) : await runNamed(host, graph, ours);
      const features = truth.get(entry.file);
      const right = features ? await runNamed(host, features, theirs) : undefined;
      for (const [output, { data }] of actual) {
        // Nobody else draws heat maps (tests compare them with PyTorch): here they only must be some.
        if (entry.metadata.tasks.some(({ heatmap }) => heatmap?.output === output)) {
          const absolute = distanceFromShares(data);
          differences.push({
            file: entry.file,
            output,
            task: undefined,
            isShare: true,
            absolute,
            largest: 1,
          });
          continue;
        }
        const served = entry.metadata.tasks.find((candidate) => candidate.output === output);
        const task = served?.name;
        const isShare = served !== undefined && taskOfServed(served).served.isShare === true;
        const expected =
          task === undefined ? right?.get(output)?.data : taskRows(reference, task, first, count);
        if (!expected) throw new InternalError(`${entry.file}: nothing to compare ${output} with`);
        differences.push({ file: entry.file, output, task, isShare, ...compare(data, expected) });
      }
      // Only features go on into other files; all heads call what they give "probabilities".
      if (features) for (const [name, tensor] of actual) ours.set(name, tensor);
      for (const [name, tensor] of right ?? []) theirs.set(name, tensor);
    }
  }
  const checks = summarise(differences);
  refuseFailures(checks);
  return checks;
}

/** An open graph and the names of what it takes. */
interface NamedGraph {
  readonly name: string;
  readonly inputs: readonly string[];
}

async function openNamed(host: OrtHost, name: string, bytes: Uint8Array): Promise<NamedGraph> {
  const { inputs } = await host.openGraph(name, { bytes });
  return { name, inputs: inputs.map((input) => input.name) };
}

async function runNamed(host: OrtHost, { name, inputs }: NamedGraph, known: Tensors): Promise<Tensors> {
  const feeds = inputs.map((input) => {
    const tensor = known.get(input);
    if (!tensor) throw new InternalError(`${name} takes ${input}, which no file before it gives`);
    return [input, tensor] as const;
  });
  return await host.run(name, Object.fromEntries(feeds));
}

/** A file for images of any size, one image at a time, of the network's own size: then nothing is resized. */
async function runSingly(host: OrtHost, graph: NamedGraph, images: HostTensor): Promise<Tensors> {
  const count = images.shape[0] ?? 0;
  const rows: Tensors[] = [];
  for (let i = 0; i < count; i++)
    rows.push(await runNamed(host, graph, new Map([["image", asRgb(rowsOf(images, i, 1))]])));
  return new Map(
    [...(rows[0] ?? [])].map(
      ([
        name,
        {
          shape: [, ...rest],
        },
      ]) => {
        const data = Float32Array.from(rows.flatMap((row) => Array.from(row.get(name)?.data ?? [], Number)));
        return [name, { dtype: "float32", shape: [count, ...rest], data }];
      },
    ),
  );
}

/** Images [N,H,W,C] as RGB: those of C channels other than 3 are of grey, the same in all. */
function asRgb({
  dtype,
  shape: [count = 0, height = 0, width = 0, channels = 0],
  data,
}: HostTensor): HostTensor {
  if (channels === 3) return { dtype, shape: [count, height, width, 3], data };
  const pixels = Uint8Array.from({ length: count * height * width * 3 }, (_, i) =>
    Number(data[Math.floor(i / 3) * channels]),
  );
  return { dtype, shape: [count, height, width, 3], data: pixels };
}

/** Of one output on one batch. */
interface Difference {
  readonly file: string;
  readonly output: string;
  readonly task: string | undefined;
  /** Whether its numbers are shares of 1. */
  readonly isShare: boolean;
  readonly absolute: number;
  readonly largest: number;
}

/** First row and number of rows of each batch: one row alone, then as many as a batch takes. */
function batches(count: number): [first: number, count: number][] {
  const list: [number, number][] = count > 0 ? [[0, 1]] : [];
  for (let first = 1; first < count; first += BATCH_IMAGES)
    list.push([first, Math.min(BATCH_IMAGES, count - first)]);
  return list;
}

function rowsOf({ dtype, shape, data }: HostTensor, first: number, count: number): HostTensor {
  const size = data.length / (shape[0] ?? 1);
  return {
    dtype,
    shape: [count, ...shape.slice(1)],
    data: data.slice(first * size, (first + count) * size) as HostTensor["data"],
  };
}

function taskRows(
  { images, probabilities }: ParityReference,
  task: string,
  first: number,
  count: number,
): Float32Array | undefined {
  const all = probabilities.get(task);
  const classes = (all?.length ?? 0) / (images.shape[0] ?? 1);
  return all?.subarray(first * classes, (first + count) * classes);
}

/** How far numbers lie outside 0 to 1 at most; infinite for NaN. */
function distanceFromShares(numbers: ArrayLike<number | bigint>): number {
  let farthest = 0;
  for (let i = 0; i < numbers.length; i++) {
    const value = Number(numbers[i]);
    const off = Math.max(-value, value - 1, 0);
    farthest = Math.max(farthest, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off);
  }
  return farthest;
}

/**
 * Largest absolute difference, and largest expected value; NaN or another length is an infinite difference.
 */
function compare(
  actual: ArrayLike<number | bigint>,
  expected: ArrayLike<number | bigint>,
): { absolute: number; largest: number } {
  let [absolute, largest] = [actual.length === expected.length ? 0 : Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs(Number(actual[i]) - Number(expected[i]));
    absolute = Math.max(absolute, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off);
    largest = Math.max(largest, Math.abs(Number(expected[i])));
  }
  return { absolute, largest };
}

/** The batches' differences as one check per output, in the order of the files. */
function summarise(differences: readonly Difference[]): ParityCheck[] {
  const outputs = new Map<string, Difference>();
  for (const difference of differences) {
    const key = JSON.stringify([difference.file, difference.output]);
    const { absolute, largest } = outputs.get(key) ?? difference;
    outputs.set(key, {
      ...difference,
      absolute: Math.max(absolute, difference.absolute),
      largest: Math.max(largest, difference.largest),
    });
  }
  return [...outputs.values()].map(({ file, output, task, isShare, absolute, largest }): ParityCheck => {
    const largestDifference = absolute / (!isShare && largest > 0 ? largest : 1);
    const passed = largestDifference <= PARITY_TOLERANCE;
    return { file, output, ...(task === undefined ? {} : { task }), largestDifference, passed };
  });
}

function refuseFailures(checks: readonly ParityCheck[]): void {
  const faults = checks
    .filter(({ passed }) => !passed)
    .map(
      ({ file, output, largestDifference }): Fault => ({
        code: "E_PARITY",
        message:
          `${output} differs from the trainer by ${largestDifference.toExponential(2)}, ` +
          `at most ${PARITY_TOLERANCE} is allowed`,
        at: { file },
        hint: "nothing was written; this is a fault of mttc or of ONNX Runtime, please report it",
      }),
    );
  if (faults.length > 0) throw new MttcError(faults);
}
