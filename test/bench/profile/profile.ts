// `npm run bench -- profile NET`: where a training step's time goes, by operator, by operator and shapes and
// by origin, as ONNX Runtime's own profiler sees it; the networks are those of `-- peers`. The profiler
// itself takes a few microseconds a node, which count as ONNX Runtime's walking of the graph.
import { availableParallelism } from "node:os";
import Table from "cli-table3";
import { Command } from "commander";
import { MttcError, suggestName } from "../../../compiler/diagnostics.ts";
import { countOf, needed, REFUSED } from "../peers/benchCommand.ts";
import { PEER_NETS } from "../peers/peerNets.ts";
import { peerModels, peerPython } from "../peers/peerPython.ts";
import { originOf } from "./nodeOrigins.ts";
import { profileSteps } from "./profiledSteps.ts";
import {
  type GraphRun,
  groupNodes,
  type NodeGroup,
  runsOf,
  shapeKey,
  shapeText,
  summaryOf,
} from "./profileEvents.ts";

/** Steps before the profiled ones: the first allocate. */
const WARM_UP = 3;
const PROFILED = 7;
/** Kinds of layers that are named in a line of the table by origin. */
const SHOWN_KINDS = 4;

interface Flags {
  readonly autotune?: boolean;
  readonly threads: string;
  readonly rows: string;
}

/** Profiles one network and prints; ends the process (2) where the command line is not right. */
export async function profileNet(args: readonly string[]): Promise<boolean> {
  const names = PEER_NETS.map(({ name }) => name);
  const command = new Command("npm run bench -- profile")
    .argument("[net]", `one of ${names.join(", ")}`)
    .option("--autotune", "let mttc measure forms of operators first")
    .option("--threads <count>", "threads of ONNX Runtime", String(availableParallelism()))
    .option("--rows <count>", "operators with shapes that are listed", "25")
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : REFUSED.exitCode))
    .parse(args, { from: "user" });
  const { autotune = false, ...flags } = command.opts<Flags>();
  const [threads, rows] = [
    countOf(command, "--threads", flags.threads),
    countOf(command, "--rows", flags.rows),
  ];
  const [wanted] = command.args;
  if (wanted === undefined) return command.error(`which net? one of: ${names.join(", ")}`);
  const net = PEER_NETS.find(({ name }) => name === wanted);
  if (net === undefined) return command.error(`there is no "${wanted}": ${suggestName(wanted, names)}`);
  const models = needed(command, () => peerModels(peerPython, [net]));
  const steps = WARM_UP + PROFILED;
  const { events, notes } = await profileSteps(net, { models, threads, autotune, steps }).catch(
    (error: unknown) => {
      if (error instanceof MttcError) return command.error(error.message);
      throw error;
    },
  );
  const runs = runsOf(events, WARM_UP);
  const text = [...notes, `${net.name}, ${net.side} px, batch ${net.batch}: ${summaryLine(runs, threads)}`];
  text.push(operatorTable(runs), shapeTable(runs, rows), originTable(runs));
  process.stdout.write(`${text.join("\n")}\n`);
  return true;
}

function summaryLine(runs: readonly GraphRun[], threads: number): string {
  const { ms, kernels, walk, nodes } = summaryOf(runs);
  const of = (part: number): string => `${part.toFixed(1)} ms (${((100 * part) / ms).toFixed(0)} %)`;
  const count = `${threads} thread${threads === 1 ? "" : "s"}`;
  const step = `a step ${ms.toFixed(1)} ms under the profiler, medians of ${runs.length}, ${count}`;
  return `${step}; kernels ${of(kernels)}, ONNX Runtime between them ${of(walk)}; ${nodes} nodes`;
}

function operatorTable(runs: readonly GraphRun[]): string {
  const groups = groupNodes(runs, ({ operator }) => operator);
  return tableOf(runs, ["operator"], groups, ({ key }) => [key]);
}

function shapeTable(runs: readonly GraphRun[], rows: number): string {
  const groups = groupNodes(runs, shapeKey).slice(0, rows);
  const head = ["operator and shapes", "one of the nodes"];
  return tableOf(runs, head, groups, ({ example }) => [short(shapeText(example)), short(example.name)]);
}

function originTable(runs: readonly GraphRun[]): string {
  const place = (name: string): string[] => [originOf(name).stage, originOf(name).part];
  const groups = groupNodes(runs, ({ name }) => place(name).join(" "));
  const kinds = groupNodes(runs, ({ name }) => [...place(name), originOf(name).kind].join(" "));
  return tableOf(runs, ["stage", "part", "heaviest kinds of layers, ms"], groups, ({ key, example }) => {
    const own = kinds.filter((kind) => place(kind.example.name).join(" ") === key).slice(0, SHOWN_KINDS);
    const texts = own.map((kind) => `${originOf(kind.example.name).kind} ${kind.ms.toFixed(1)}`);
    return [...place(example.name), texts.join(", ")];
  });
}

/** Groups with their time, its share of the step and the number of their nodes. */
function tableOf(
  runs: readonly GraphRun[],
  head: readonly string[],
  groups: readonly NodeGroup[],
  cells: (group: NodeGroup) => string[],
): string {
  const { ms: whole } = summaryOf(runs);
  const colAligns = [...(["right", "right", "right"] as const), ...head.map(() => "left" as const)];
  const style = { head: [], border: [] };
  const chars = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };
  const table = new Table({ head: ["ms", "%", "nodes", ...head], colAligns, style, chars });
  for (const group of groups) {
    const share = ((100 * group.ms) / whole).toFixed(1);
    table.push([group.ms.toFixed(2), share, String(group.nodes), ...cells(group)]);
  }
  return table.toString();
}

const WIDEST = 90;

function short(text: string): string {
  return text.length <= WIDEST ? text : `${text.slice(0, WIDEST - 3)}...`;
}
