// `npm run networks -- FOLDER [--batch-fixed] [--json FILE] [network ...]`: every network that
// export_networks.py wrote to the folder through mttc, and a table of what came of it. Exit code 1 where
// features or gradients are wrong.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { type Trial, tryNetwork } from "./tryNetwork.ts";
import { verdictOf } from "./verdict.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "batch-fixed": { type: "boolean", default: false },
    markdown: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});
const [folder, ...wanted] = positionals;
if (folder === undefined) {
  process.stderr.write("name the folder that export_networks.py wrote to\n");
  process.exit(2);
}

const stems = readdirSync(folder)
  .filter((name) => name.endsWith(".safetensors"))
  .map((name) => name.replace(/\.safetensors$/, ""))
  .filter(
    (name) => wanted.length === 0 || wanted.includes(name) || wanted.includes(name.split(".")[0] ?? ""),
  );
const library = OrtLibrary.open();
const trials: Trial[] = [];
for (const stem of stems) {
  const trial = await tryNetwork({
    library,
    stem: join(folder, stem),
    isBatchFixed: values["batch-fixed"],
  });
  trials.push(trial);
  if (values.markdown !== undefined) writeFileSync(values.markdown, markdown());
  process.stderr.write(`${stem}: ${verdictOf(trial)}${values.verbose ? details(trial) : ""}\n`);
}
library[Symbol.dispose]();

const rows = trials.map(rowOf);
const table = new Table({ head: [...columns()], style: { head: [], border: [] } });
table.push(...rows);
process.stdout.write(`${table.toString()}\n${summary()}\n`);
process.exitCode = trials.some((trial) => verdictOf(trial) === "WRONG") ? 1 : 0;

/**
 * As the script exported it; numbers relative to norms ("in float64": the worst gradient by the interpreter, where
 * float32's was too far off); how many parameters were compared; what trains.
 */
function columns(): readonly string[] {
  const compared = ["features", "worst gradient", "PyTorch's float32", "in float64", "compared"];
  return ["network", "form", "result", ...compared, "trained of PyTorch's", "others", "s"];
}

function rowOf(trial: Trial): string[] {
  const { facts, featuresError, gradients, float64, seconds } = trial;
  return [
    facts.network,
    facts.form,
    verdictOf(trial).slice(0, 90),
    featuresError?.toExponential(1) ?? "",
    gradients?.worst.error.toExponential(1) ?? "",
    facts.gap.toExponential(1),
    float64?.error.toExponential(1) ?? "",
    gradients ? `${gradients.compared}` : "",
    gradients ? `${gradients.ours} of ${gradients.theirs}` : "",
    gradients ? `${gradients.others.length}` : "",
    seconds.toFixed(1),
  ];
}

function details({ notes = [], gradients, float64 }: Trial): string {
  const lines = notes.map((note) => `note: ${note}`);
  if (gradients) {
    lines.push(`worst: ${gradients.worst.name} ${gradients.worst.error}`);
    if (float64) lines.push(`in float64: ${float64.error}; float32 on another image: ${float64.elsewhere}`);
    if (gradients.missed.length > 0) lines.push(`missed: ${gradients.missed.join(", ")}`);
    if (gradients.others.length > 0) lines.push(`others: ${gradients.others.join(", ")}`);
  }
  return lines.map((line) => `\n    ${line}`).join("");
}

function summary(): string {
  const right = trials.filter((trial) => verdictOf(trial).startsWith("right")).length;
  const wrong = trials.filter((trial) => verdictOf(trial) === "WRONG").length;
  return `${right} right, ${wrong} wrong, ${trials.length - right - wrong} refused, of ${trials.length}`;
}

function markdown(): string {
  const heads = columns();
  const rows = trials.map(rowOf);
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line), "", summary(), ""].join("\n");
}
