// Which form of each convolution and gradient is fastest on the device that is there: every candidate runs
// alone, and the choices go to the compiler. What was measured is kept in a file, by device, version of
// ONNX Runtime and shape, so that a second run measures nothing. The compiler's own table stands where
// nothing was measured.
import type { Bundle, Target } from "../../compiler/bundle/manifest.ts";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import type { CompileOptions } from "../../compiler/compile.ts";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { type Graph, typeText, type Value } from "../../compiler/ir/types.ts";
import { type FormCandidates, formCandidates } from "../../compiler/lower/candidates.ts";
import type { FormChoices } from "../../compiler/lower/forms.ts";
import type { ChannelBlock } from "../../compiler/ops/channelBlocks.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { RandomStream } from "../draws/randomStream.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { type FormTimes, readFormCache, writeFormCache } from "./formCache.ts";

/** Runs before any is timed: the first builds plans and allocates. */
const WARM_UP_RUNS = 3;
const TIMED_RUNS = 9;
/** Fewer runs, but no fewer than these, where they take longer than this together. */
const LEAST_RUNS = 3;
const ENOUGH_MS = 2000;
/** A form whose second run takes so many times the fastest one's time is not measured further. */
const HOPELESS = 4;
/** Another form takes the place of the table's only if it is faster by this share: less is noise. */
const LEAST_GAIN = 0.05;
/** Faults of a single candidate, which then is not chosen: refused by the provider, or too large. */
const CANDIDATE_FAULTS: readonly string[] = ["E_ORT", "E_DEVICE_MEMORY"];

export interface AutotuneOptions {
  readonly host: OrtHost;
  readonly target: Target;
  /** As the compiler gets it. */
  readonly channelBlock?: ChannelBlock | undefined;
  /** Names what timings hold for: the device and its settings ("NVIDIA H100 PCIe, tf32"). */
  readonly device: string;
  /** File of measurements; without it nothing is kept. */
  readonly cache?: string | undefined;
  /** Is told in one line what was measured. */
  readonly note?: ((line: string) => void) | undefined;
}

/** Compiles with the options that autotuning adds: a first time to see the graphs, then with the choices. */
export type CompileWith = (options: Pick<CompileOptions, "ready" | "forms">) => Bundle;

/**
 * A bundle whose forms are the fastest measured ones. E_DISK and E_FILE when the measurements cannot be
 * kept.
 */
export async function compileTuned(compileWith: CompileWith, options: AutotuneOptions): Promise<Bundle> {
  const ready: Graph[] = [];
  const usual = compileWith({ ready: (graph) => ready.push(graph) });
  const forms = await chooseForms(formCandidates(ready, options.target, OPS, options.channelBlock), options);
  return forms.size === 0 ? usual : compileWith({ forms });
}

/** The form of every candidate whose fastest one is not the table's, by shape key. */
export async function chooseForms(
  candidates: readonly FormCandidates[],
  options: AutotuneOptions,
): Promise<FormChoices> {
  const started = performance.now();
  const section = `${options.device}, ONNX Runtime ${options.host.version}`;
  const cache = options.cache === undefined ? undefined : await readFormCache(options.cache);
  const known = cache?.get(section) ?? new Map<string, FormTimes>();
  const measured = new Map<string, FormTimes>();
  for (const candidate of candidates) {
    const kept = known.get(candidate.key);
    // Forms that came with a newer mttc have not been measured.
    const isComplete = kept !== undefined && [...candidate.forms.keys()].every((form) => form in kept);
    if (!isComplete) measured.set(candidate.key, await timeForms(options.host, candidate));
  }
  if (options.cache !== undefined && measured.size > 0)
    await writeFormCache(options.cache, section, measured);
  const choices = new Map<string, string>();
  let changed = 0;
  for (const { key, usual, forms, choicesOf } of candidates) {
    const best = fastest(measured.get(key) ?? known.get(key) ?? {}, usual, [...forms.keys()]);
    if (best === usual) continue;
    changed++;
    for (const [decided, form] of choicesOf(best)) choices.set(decided, form);
  }
  if (candidates.length > 0)
    options.note?.(tuningLine(candidates.length, measured.size, changed, performance.now() - started));
  return choices;
}

function tuningLine(shapes: number, measured: number, changed: number, ms: number): string {
  const how = measured === 0 ? "all known" : `${measured} measured in ${(ms / 1000).toFixed(1)} s`;
  return `autotune: ${shapes} shapes of operators, ${how}; ${changed} take another form than the table's`;
}

/** The fastest of `forms`; the usual one where it was not measured to lose by LEAST_GAIN. */
function fastest(times: FormTimes, usual: string, forms: readonly string[]): string {
  const timeOf = (form: string): number => times[form] ?? Number.POSITIVE_INFINITY;
  const best = forms.reduce((a, b) => (timeOf(b) < timeOf(a) ? b : a));
  const isGain = timeOf(best) < timeOf(usual) * (1 - LEAST_GAIN);
  return isGain ? best : usual;
}

/** Median milliseconds of each form; null for one that the provider refuses or that does not fit. */
async function timeForms(host: OrtHost, { forms, key }: FormCandidates): Promise<FormTimes> {
  const [first] = forms.values();
  const tensors = (first?.inputs ?? []).map((input) => ({ input, id: `autotune:${input.name}` }));
  const output = { input: first?.outputs[0]?.value, id: "autotune:y" };
  const place = "device";
  const buffers = [...tensors, output].flatMap(({ input, id }) =>
    input ? [{ id, dtype: input.type.dtype, shape: input.type.shape.map(Number), place } as const] : [],
  );
  const times: Record<string, number | null> = {};
  await host.allocate(buffers);
  try {
    await host.write(
      Object.fromEntries(tensors.map(({ input, id }) => [id, randomNumbers(input, `${key} ${input.name}`)])),
    );
    for (const [form, graph] of forms) {
      const known = Object.values(times).filter((time) => time !== null);
      times[form] = await timeGraph(host, graph, Math.min(...known));
    }
  } finally {
    await host.free(buffers.map(({ id }) => id));
  }
  return times;
}

async function timeGraph(host: OrtHost, graph: Graph, leastMs: number): Promise<number | null> {
  const name = "autotune";
  const inputs = Object.fromEntries(graph.inputs.map((input) => [input.name, `autotune:${input.name}`]));
  const undo: (() => Promise<unknown>)[] = [];
  try {
    await host.openGraph(name, { bytes: encodeGraph(graph) });
    undo.push(() => host.closeGraph(name));
    await host.bind(name, name, { inputs, outputs: { y: "autotune:y" } });
    undo.push(() => host.unbind(name));
    return await medianRunMs(host, name, leastMs);
  } catch (error) {
    if (error instanceof MttcError && CANDIDATE_FAULTS.includes(error.code)) return null;
    throw error;
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

/**
 * Median milliseconds of a bound graph's runs, after a warm-up; of one run where that takes far longer than
 * `leastMs`.
 */
async function medianRunMs(host: OrtHost, binding: string, leastMs: number): Promise<number> {
  const began = performance.now();
  for (let run = 0; run < WARM_UP_RUNS; run++) {
    const { runMs } = await host.step(binding);
    if (run > 0 && runMs > HOPELESS * leastMs) return runMs;
  }
  const times: number[] = [];
  while (times.length < TIMED_RUNS && (times.length < LEAST_RUNS || performance.now() - began < ENOUGH_MS))
    times.push((await host.step(binding)).runMs);
  return median(times);
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.POSITIVE_INFINITY;
}

/** Numbers of [0.5, 1), since zeros and denormals are computed faster or slower than what training has. */
function randomNumbers({ type }: Value, seed: string): ArrayBufferView {
  const count = type.shape.reduce<number>((product, dim) => product * Number(dim), 1);
  const stream = new RandomStream(0, seed, 0);
  switch (type.dtype) {
    case "float32":
      return repeated(new Float32Array(count), () => 0.5 + stream.nextUniform() / 2);
    case "float64":
      return repeated(new Float64Array(count), () => 0.5 + stream.nextUniform() / 2);
    case "float16":
      // The bits of 0.5 with a random fraction.
      return repeated(new Uint16Array(count), () => 0x3800 + Math.floor(1024 * stream.nextUniform()));
    default:
      throw new InternalError(`no random numbers for ${typeText(type)}`);
  }
}

/** Fills an array with a short piece of drawn numbers again and again: an image may hold 10^8 of them. */
function repeated<T extends Float32Array | Float64Array | Uint16Array>(array: T, draw: () => number): T {
  let filled = Math.min(array.length, 4099);
  for (let i = 0; i < filled; i++) array[i] = draw();
  for (; filled < array.length; filled *= 2) array.copyWithin(filled, 0, filled);
  return array;
}
