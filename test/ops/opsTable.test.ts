// What `mttc ops` claims: enough ONNX operators with a derivative, each with samples at which the derivative
// is really checked, and our own operators apart.

import { readFileSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import pc from "picocolors";
import { describe, expect, test } from "vitest";
import { addOpsCommand } from "../../cli/opsCommand.ts";
import type { Terminal } from "../../cli/terminal.ts";
import { importRows, opsMarkdown } from "../../compiler/inspect/opsDocs.ts";
import { isFloat } from "../../compiler/ir/types.ts";
import { opsSummary, opsTable } from "../../compiler/ops/opsTable.ts";
import { OP_FAMILIES, OPS } from "../../compiler/ops/table.ts";
import { SAMPLES } from "./samples/allSamples.ts";
import type { Sample } from "./samples/sample.ts";

/** The issue asks for 100. */
const WANTED = 105;

const table = opsTable();

/** Whether the gradient check runs on the sample and demands that there is something to find. */
function checksGradient({ inputs, gradientFloor }: Sample): boolean {
  const differentiated = inputs.some(
    (input) => input && !input.constant && isFloat(input.dtype ?? "float32"),
  );
  return differentiated && gradientFloor !== 0;
}

test(`at least ${WANTED} ONNX operators have a derivative`, () => {
  expect(table.differentiable).toBeGreaterThanOrEqual(WANTED);
});

test("every operator with a derivative has a sample whose gradient is checked and is not zero", () => {
  const proved = table.standard.filter(({ derivative }) => derivative === "proved");
  const unproved = proved.filter(({ name }) => !SAMPLES[name]?.some(checksGradient));
  expect(unproved.map(({ name }) => name)).toEqual([]);
});

test("every operator stands in one family, and once in the table", () => {
  const names = Object.values(OP_FAMILIES).flatMap((ops) => ops.map(({ name }) => name));
  expect(names.length).toBe(new Set(names).size);
  expect([...table.standard, ...table.own, ...table.extensions].map(({ name }) => name).toSorted()).toEqual(
    [...OPS.keys()].toSorted(),
  );
});

test("every source of a standard operator names an ONNX operator of opset 18 or before", () => {
  for (const { name, source } of table.standard) {
    const version = new RegExp(`^ONNX ${name}-(\\d+)( |$)`).exec(source)?.[1];
    expect(Number(version), `${name}: ${source}`).toBeLessThanOrEqual(18);
  }
});

/** In graphs of ours, not in imported ones: shapes that two of them give would look alike. */
const OURS_ALONE = "NonZero";

test("what import refuses is not in the table", () => {
  const refused = importRows().filter(({ treatment, untilOpset }) => treatment === "refused" && !untilOpset);
  expect(refused.length).toBeGreaterThan(0);
  for (const { operator } of refused) expect(OPS.has(operator), operator).toBe(operator === OURS_ALONE);
});

test("operators of our own do not count", () => {
  expect(table.own.map(({ name }) => name)).toContain("MaxPoolGrad");
  expect(table.standard.map(({ name }) => name)).not.toContain("MaxPoolGrad");
});

describe("mttc ops", () => {
  async function run(...args: string[]): Promise<string> {
    const lines: string[] = [];
    const terminal: Terminal = {
      out: (text) => void lines.push(text),
      note: () => {},
      onReaderGone: () => () => undefined,
      data: () => undefined,
      isTerminal: false,
      drawsProgress: false,
      colours: pc.createColors(false),
      noteColours: pc.createColors(false),
    };
    const program = new Command("mttc");
    addOpsCommand(program, terminal);
    await program.parseAsync(["ops", ...args], { from: "user" });
    return lines.join("\n");
  }

  test("lists every operator with its proof, and counts them", async () => {
    const text = await run();
    for (const name of OPS.keys()) expect(text).toMatch(new RegExp(`^${name} `, "m"));
    expect(text).toMatch(/^GridSample +resizing +ONNX GridSample-16 +central differences \+ ORT$/m);
    expect(text).toMatch(/^Floor .*zero: it is constant between integers$/m);
    expect(text).toContain(opsSummary(table));
    expect(text).toMatch(/^Gelu +20 on +decomposed +Erf/m);
  });

  test("prints JSON", async () => {
    expect(JSON.parse(await run("--json"))).toEqual({ ...table, imports: importRows() });
  });

  test("prints Markdown, a row for each operator", async () => {
    const text = await run("--markdown");
    expect(text).toBe(opsMarkdown());
    for (const name of OPS.keys()) expect(text).toContain(`\n| \`${name}\` |`);
  });

  test("is what OPERATORS.md holds; UPDATE_README=1 rewrites it, but not in CI", () => {
    const page = new URL("../../compiler/ops/OPERATORS.md", import.meta.url);
    const expected = `# Operators\n\nMade by \`mttc ops --markdown\`; a test holds it to the code.\n\n${opsMarkdown().trimEnd()}\n`;
    if (process.env.UPDATE_README === "1" && !process.env.CI) writeFileSync(page, expected);
    expect(readFileSync(page, "utf8")).toBe(expected);
  });
});
