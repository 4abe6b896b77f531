// `npm run bench -- peers [NET...]`: training steps of nine networks beside the same networks in PyTorch
// on the CPU, float32, Adam. What counts, on both sides: a batch of bytes in memory -> floats, normalised
// -> forward -> the tasks' losses over labelled rows, weights learned -> backward -> Adam -> the losses as
// numbers; dropout's masks are drawn. mttc's are the trainer's own steps on its own bundle; PyTorch is
// given what is fastest of contiguous and channels last, one thread and all, threads that spin and that
// sleep, Adam plain and fused, denormals flushed; mttc one thread and all. Short trials, each in a process
// of its own, choose. Then blocks of a second and more alternate between fresh processes, the two fastest
// settings of each side; those that wait are stopped. The ratio is that of neighbouring blocks' medians,
// each side with the setting that was fastest in all blocks. Memory is the most that was resident in a
// side's process from its start (ONNX Runtime is a thread of mttc's, compiling included). Opening is the
// time from nothing to the first step done: Node or Python and their libraries, mttc's reading, compiling,
// writing and opening, PyTorch's constructing and reading of weights; the median of all processes that
// were started.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import Table from "cli-table3";
import { median } from "../../median.ts";
import {
  type BenchFlags,
  benchCommand,
  exitOnSignals,
  mayMeasure,
  needed,
  wantedOf,
} from "./benchCommand.ts";
import { PEER_NETS } from "./peerNets.ts";
import { percent, ratioOfRuns, spreadText } from "./peerNumbers.ts";
import { peerModels, peerPython } from "./peerPython.ts";
import { type Effort, type PeerResult, PeerTrials } from "./peerTrials.ts";
import type { MttcSetting, TorchSetting } from "./stepProtocol.ts";

const FULL = { blocks: 8, blockMs: 1200, trialMs: 600, triesTwice: true };
const QUICK = { blocks: 4, blockMs: 500, trialMs: 200, triesTwice: false };

interface Flags extends BenchFlags {
  readonly quick?: boolean;
  readonly autotune?: boolean;
}

/** Measures and prints; false where a network is slower than PyTorch's, or nothing was measured. */
export async function comparePeers(args: readonly string[]): Promise<boolean> {
  const names = PEER_NETS.map(({ name }) => name);
  const command = benchCommand("peers", "net", names)
    .option("--quick", "shorter blocks, and all threads alone")
    .option("--autotune", "let mttc measure forms of operators first, too")
    .parse(args, { from: "user" });
  const flags = command.opts<Flags>();
  const { names: wanted, runs } = wantedOf(command, names);
  const nets = PEER_NETS.filter(({ name }) => wanted.includes(name));
  const python = needed(command, peerPython);
  const models = needed(command, () => peerModels(() => python, nets));
  if (!(await mayMeasure(flags.anyway))) return false;
  exitOnSignals();
  const scratch = mkdtempSync(join(tmpdir(), "mttc-bench-peers-"));
  try {
    const effort: Effort = { ...(flags.quick ? QUICK : FULL), runs };
    const results: PeerResult[] = [];
    for (const net of nets) {
      const trials = new PeerTrials(net, { python, models, scratch }, effort, note);
      const result = await trials.measure(settingsOf(flags)).catch(noteFailure);
      if (!result) continue;
      results.push(result);
      if (flags.json !== undefined) writeFileSync(flags.json, jsonOf(results));
      note(`${net.name}: PyTorch / mttc ${spreadText(ratioOfRuns(result.runs))}`);
    }
    process.stdout.write(`${tableOf(results)}\n`);
    const isFast = results.every((result) => ratioOfRuns(result.runs).middle >= 1);
    return isFast && results.length === nets.length;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The other networks are measured all the same. */
function noteFailure(error: unknown): undefined {
  note(error instanceof Error ? error.message : String(error));
}

function settingsOf({ quick, autotune = false }: Flags): { torch: TorchSetting[]; mttc: MttcSetting[] } {
  const all = availableParallelism();
  const threads = quick || all === 1 ? [all] : [all, 1];
  const torch = threads.flatMap((count) =>
    (["contiguous", "channels_last"] as const).flatMap((layout) =>
      (count === 1 ? (["passive"] as const) : (["active", "passive"] as const)).map((wait) => ({
        ...{ layout, threads: count, wait, fused: false },
      })),
    ),
  );
  return { torch, mttc: threads.map((count) => ({ threads: count, autotune })) };
}

function stepMs({ runs }: PeerResult, side: "torch" | "mttc"): number {
  return median(runs.flat().map((pair) => pair[side]));
}

function settingText({ torch }: PeerResult): string {
  const { layout, threads, wait, fused } = torch;
  return `${layout}, ${threads} thread${threads === 1 ? "" : "s"} ${wait}${fused ? ", fused Adam" : ""}`;
}

function tableOf(results: readonly PeerResult[]): string {
  const table = new Table({
    head: [
      "step",
      "mttc ms",
      "PyTorch ms",
      "PyTorch / mttc",
      "memory MB",
      "open s",
      "others",
      "PyTorch's best",
    ],
    style: { head: [], border: [] },
  });
  const mega = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  const seconds = (ms: number): string => (ms / 1000).toFixed(1);
  for (const result of results) {
    const { net, peakBytes, openMs, others } = result;
    table.push([
      `${net.name}, ${net.side} px, batch ${net.batch}`,
      stepMs(result, "mttc").toFixed(1),
      stepMs(result, "torch").toFixed(1),
      spreadText(ratioOfRuns(result.runs)),
      `${mega(peakBytes.mttc)} / ${mega(peakBytes.torch)}`,
      `${seconds(openMs.mttc)} / ${seconds(openMs.torch)}`,
      percent(others),
      settingText(result),
    ]);
  }
  const legend = "memory and open: mttc / PyTorch; others: what other processes took of all cores meanwhile";
  return `${table}\n${legend}`;
}

function jsonOf(results: readonly PeerResult[]): string {
  const machine = { cpu: cpus()[0]?.model, threads: availableParallelism() };
  const rows = results.map((result) => ({
    ...result,
    ratio: ratioOfRuns(result.runs),
    stepMs: { torch: stepMs(result, "torch"), mttc: stepMs(result, "mttc") },
  }));
  return `${JSON.stringify({ machine, results: rows }, null, 1)}\n`;
}
