// What `mttc doctor` does: looks, and says what it found and what mends it.
import type { Finding } from "../runtime/diagnosis/finding.ts";
import { examine } from "../runtime/diagnosis/findings.ts";
import { renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

const SIGNS: Readonly<Record<Finding["state"], string>> = { ok: "ok", absent: "-", fault: "FAULT" };

/** Prints what is found, with ONNX Runtime from `ort` if given; `version` is mttc's. */
export async function examineMachine(
  ort: string | undefined,
  json: boolean,
  version: string,
  terminal: Terminal,
): Promise<void> {
  if (terminal.drawsProgress) terminal.note("Looking, and training for a second on each provider ...");
  const machine = `${process.platform} ${process.arch}, Node ${process.versions.node}`;
  const findings: Finding[] = [
    { what: "mttc", state: "ok", found: `${version} on ${machine}` },
    ...(await examine({ libraryPath: ort })),
  ];
  if (json) return terminal.out(JSON.stringify(findings, null, 2));
  const { green, red, dim } = terminal.colours;
  const sign = ({ state }: Finding): string => ({ ok: green, absent: dim, fault: red })[state](SIGNS[state]);
  const rows = findings.map((finding) => [finding.what, sign(finding), finding.found]);
  terminal.out(renderTable(terminal, ["", "", "found"], rows));
  terminal.out(advice(findings));
}

/** What each missing thing asks for, and where training runs. */
function advice(findings: readonly Finding[]): string {
  const runs = findings.filter(({ what, state }) => what.startsWith("training on") && state === "ok");
  const where = runs.map(({ what }) => what.replace("training on ", "")).join(" and ");
  const todo = findings.flatMap(({ what, hint }) => (hint === undefined ? [] : [`  ${what}: ${hint}`]));
  return [
    `\nTraining runs on ${where === "" ? "nothing here" : where}.`,
    ...(todo.length > 0 ? ["What mends the rest:", ...todo] : ["Nothing is missing."]),
  ].join("\n");
}
