// `npm run conformance`: ONNX's own backend suite through import, interpreter, ONNX Runtime and derivative.
// A venv with PyPI's onnx generates the cases (kept in node_modules/.cache); `--cases DIR` takes those that lie
// there. Exit code 1 for a wrong result, a crash, a derivative that differs, and for a case that is refused
// and not on the list (refused.txt; `--update` writes it anew).
import { execFileSync, fork } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Table from "cli-table3";
import { Command } from "commander";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { listCases, readCase } from "./conformanceCase.ts";
import { DEVIATIONS } from "./deviations.ts";
import { readRefusals, refusalsText } from "./refusals.ts";
import { type CaseResult, runCase } from "./runCase.ts";

const ONNX = "onnx==1.23.2";
const CACHE = join(PROJECT_ROOT, "node_modules", ".cache", "mttc-conformance");
const FOLDER = join(PROJECT_ROOT, "test", "conformance");
const REFUSED = join(FOLDER, "refused.txt");

interface Flags {
  readonly cases?: string;
  readonly only?: string;
  readonly update?: boolean;
}

/** What the process that runs cases says: which one it begins with, and what came of it. */
type Message = { readonly begins: string } | CaseResult;

if (process.send) runCases(process.argv[2] ?? "", process.argv.slice(3));
else {
  const command = new Command("conformance")
    .option("--cases <dir>", "cases that generate.py has written")
    .option("--only <text>", "the cases whose name holds this")
    .option("--update", "write refused.txt anew");
  process.exitCode = await main(command.parse().opts<Flags>());
}

async function main({ cases, only, update = false }: Flags): Promise<number> {
  const folder = cases ?? generated();
  const ids = listCases(folder).filter((id) => id.includes(only ?? ""));
  const results = await resultsOf(folder, ids);
  if (update) writeFileSync(REFUSED, refusalsText(results));
  return report(results, readRefusals(readFileSync(REFUSED, "utf8")));
}

/** The folder of the suite, generated if it is not there yet. */
function generated(): string {
  const [venv, folder] = [join(CACHE, "venv"), join(CACHE, ONNX)];
  if (existsSync(folder)) return folder;
  process.stderr.write(`Generating the cases of ${ONNX}\n`);
  const python = join(venv, "bin", "python");
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  if (!existsSync(python)) run("python3", "-m", "venv", venv);
  run(python, "-m", "pip", "install", "--quiet", ONNX);
  run(python, "-W", "ignore", join(FOLDER, "generate.py"), folder);
  return folder;
}

/** Runs cases in a process of their own, and goes on after the one in which it ended. */
async function resultsOf(folder: string, ids: readonly string[]): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (let rest = [...ids]; rest.length > 0; rest = ids.slice(results.length)) {
    let current = rest[0] ?? "";
    const child = fork(process.argv[1] ?? "", [folder, ...rest]);
    child.on("message", (message: Message) => {
      if ("begins" in message) current = message.begins;
      else results.push(message);
      if (process.stderr.isTTY) process.stderr.write(`\r${results.length} of ${ids.length} `);
    });
    const [code, signal] = await new Promise<[number | null, string | null]>((done) => {
      child.on("exit", (...ended) => done(ended));
    });
    if (results.length === ids.length) break;
    const reason = `the process ended with ${code ?? signal}`;
    process.stderr.write(`${current}: ${reason}\n`);
    results.push({ id: current, verdict: "crash", reason, derivative: { agree: 0, faults: [] } });
  }
  if (process.stderr.isTTY) process.stderr.write("\r");
  return results;
}

function runCases(folder: string, ids: readonly string[]): void {
  using library = OrtLibrary.open();
  const send = (message: Message): boolean => process.send?.(message) ?? false;
  for (const id of ids) {
    send({ begins: id });
    send(runCase(library, readCase(folder, id)));
  }
  process.disconnect();
}

function report(results: readonly CaseResult[], listed: ReadonlyMap<string, string>): number {
  const kinds = [...new Set(results.map(({ id }) => kindOf(id)))];
  const table = new Table({
    head: ["cases", "all", "pass", "refused by name", "wrong", "known", "crash", "derivatives agree"],
    style: { head: [], border: [] },
  });
  const isKnown = ({ id }: CaseResult): boolean => DEVIATIONS.has(id);
  for (const kind of [...kinds, "all"]) {
    const rows = results.filter(({ id }) => kind === "all" || kindOf(id) === kind);
    const count = (verdict: CaseResult["verdict"]): number =>
      rows.filter((row) => row.verdict === verdict && !(verdict === "wrong" && isKnown(row))).length;
    const agree = rows.reduce((sum, { derivative }) => sum + derivative.agree, 0);
    const differ = rows.reduce((sum, { derivative }) => sum + derivative.faults.length, 0);
    const known = rows.filter((row) => row.verdict === "wrong" && isKnown(row)).length;
    const verdicts = [count("pass"), count("refused"), count("wrong"), known, count("crash")];
    table.push([kind, rows.length, ...verdicts, `${agree} of ${agree + differ}`]);
  }
  process.stdout.write(`${table}\n`);
  const faults = results.flatMap((result) => faultsOf(result, listed));
  const lines = faults.slice(0, 2000).map((line) => `${line}\n`);
  process.stdout.write(lines.join(""));
  return faults.length > 0 ? 1 : 0;
}

function faultsOf(result: CaseResult, listed: ReadonlyMap<string, string>): string[] {
  const { id, verdict, reason, derivative } = result;
  const deviation = DEVIATIONS.get(id);
  if (verdict === "wrong" && deviation !== undefined) return [];
  const isListed = listed.has(id);
  if (verdict === "refused") return isListed ? [] : [`not on the list of what is refused: ${id}: ${reason}`];
  const faults = derivative.faults.map((fault) => `derivative: ${id}: ${fault}`);
  if (verdict !== "pass") faults.push(`${verdict}: ${id}: ${reason}`);
  else if (isListed) faults.push(`passes, and is on the list of what is refused: ${id}`);
  else if (deviation !== undefined) faults.push(`passes, and is a known deviation: ${id}`);
  return faults;
}

function kindOf(id: string): string {
  return id.slice(0, id.indexOf("/"));
}
