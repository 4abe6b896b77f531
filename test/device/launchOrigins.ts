// Which node of a graph made which calls to CUDA: the stand-in's trace beside ONNX Runtime's own profile of
// the same run. Both have times, of clocks whose difference is unknown and sought: it is the one by which
// most calls lie within a node.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { compile } from "../../compiler/compile.ts";
import type { BufferSpec, OrtHost } from "../../runtime/ort/ortHost.ts";
import { writeBundleDirectory } from "../../runtime/runs/bundleDirectory.ts";
import type { Experiment } from "../gpu/stepRun.ts";
import type { LaunchTrace, TracedCall } from "./launchTrace.ts";

/** A node of the graph as ONNX Runtime ran it. */
export interface NodeCalls {
  /** Its name in the graph, which is its origin in the spec. */
  readonly name: string;
  readonly operator: string;
  readonly calls: readonly TracedCall[];
}

/** Nodes of a run with their calls, and how many calls lie in none. */
export interface AttributedRun {
  readonly nodes: readonly NodeCalls[];
  readonly strayCalls: number;
}

interface Interval {
  readonly name: string;
  readonly operator: string;
  readonly start: number;
  readonly end: number;
}

/** How far apart the clocks are searched, round the first guess, and how finely; microseconds. */
const SEARCHED = 2000;
const STEP = 0.5;

/** Runs an experiment's training graph three times, on zeros, and attributes the calls of the last run. */
export async function attributeStep(
  host: OrtHost,
  trace: LaunchTrace,
  { spec, classes, trunk }: Experiment,
): Promise<AttributedRun> {
  const folder = await mkdtemp(path.join(tmpdir(), "mttc-origins-"));
  const manifest = await writeBundleDirectory(
    path.join(folder, "bundle"),
    compile(spec, classes, { target: "cuda", trunk }),
  );
  const graph = manifest.graphs.train;
  if (!graph) throw new Error("the experiment accumulates: it has no graph of a whole step");
  const model = { path: path.join(folder, "bundle", graph.file) };
  const { inputs, outputs } = await host.openGraph("traced", model, {
    profilePrefix: path.join(folder, "profile"),
  });
  const buffer = (id: string, { dtype, shape }: (typeof inputs)[number]): BufferSpec => ({
    id: `traced:${id}`,
    dtype,
    shape: shape.map(Number),
    place: "device",
  });
  await host.allocate([
    ...inputs.map((input) => buffer(`in:${input.name}`, input)),
    ...outputs.map((output) => buffer(`out:${output.name}`, output)),
  ]);
  await host.bind("traced", "traced", {
    inputs: Object.fromEntries(inputs.map(({ name }) => [name, `traced:in:${name}`])),
    outputs: Object.fromEntries(outputs.map(({ name }) => [name, `traced:out:${name}`])),
  });
  for (let run = 0; run < 2; run++) await host.step("traced");
  trace.reset();
  await host.step("traced");
  const calls = trace.read().filter(({ kind }) => kind !== "wait" && kind !== "host");
  const profile = await host.closeGraph("traced");
  const intervals = lastRun(JSON.parse(await readFile(profile ?? "", "utf8")));
  await host.free([
    ...inputs.map(({ name }) => `traced:in:${name}`),
    ...outputs.map(({ name }) => `traced:out:${name}`),
  ]);
  await rm(folder, { recursive: true });
  return attribute(calls, intervals);
}

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args: { readonly op_name?: string };
}

/** The nodes of a profile's last run, in the order in which they ran. */
function lastRun(events: readonly ProfileEvent[]): Interval[] {
  const began = Math.max(
    ...events.flatMap(({ name, ts }) => (name === "SequentialExecutor::Execute" ? ts : [])),
  );
  return events
    .filter(({ cat, name, ts }) => cat === "Node" && name.endsWith("_kernel_time") && ts >= began)
    .map(({ name, ts, dur, args }) => ({
      name: name.replace(/_kernel_time$/, ""),
      operator: args.op_name ?? "",
      start: ts,
      // Times are whole microseconds.
      end: ts + dur + 1,
    }))
    .sort((a, b) => a.start - b.start);
}

function attribute(calls: readonly TracedCall[], intervals: readonly Interval[]): AttributedRun {
  const guess = (calls[0]?.microseconds ?? 0) - (intervals[0]?.start ?? 0);
  let best: (number | undefined)[] = [];
  let hits = -1;
  for (let shift = -SEARCHED; shift <= SEARCHED; shift += STEP) {
    const places = placesOf(calls, intervals, guess + shift);
    const found = new Set(places).size + places.filter((place) => place !== undefined).length;
    if (found > hits) [best, hits] = [places, found];
  }
  const nodes = intervals.map(({ name, operator }, i) => ({
    name,
    operator,
    calls: calls.filter((_, call) => best[call] === i),
  }));
  return { nodes, strayCalls: best.filter((place) => place === undefined).length };
}

/** The interval that each call lies in, if the clocks differ by `offset`. */
function placesOf(
  calls: readonly TracedCall[],
  intervals: readonly Interval[],
  offset: number,
): (number | undefined)[] {
  let at = 0;
  return calls.map(({ microseconds }) => {
    const time = microseconds - offset;
    while (at < intervals.length && (intervals[at]?.end ?? 0) < time) at++;
    const { start = Number.POSITIVE_INFINITY } = intervals[at] ?? {};
    return start <= time ? at : undefined;
  });
}
