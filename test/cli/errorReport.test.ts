// What errors become at the end of the program: exit codes for scripts, text for people.
import { CommanderError } from "commander";
import pc from "picocolors";
import { expect, test } from "vitest";
import { reportError } from "../../cli/errorReport.ts";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";

function report(error: unknown): { code: number; text: string } {
  const lines: string[] = [];
  const plain = pc.createColors(false);
  const code = reportError(error, {
    out: () => undefined,
    note: (line) => void lines.push(line),
    onReaderGone: () => () => undefined,
    data: () => undefined,
    isTerminal: false,
    drawsProgress: false,
    colours: plain,
    noteColours: plain,
  });
  return { code, text: lines.join("\n") };
}

test("faults of the input are exit code 2, each on a line with its place and hint", () => {
  const faults = [
    { code: "E_FILE", message: "cannot be read", at: { file: "a.csv", line: 3 }, hint: "look again" },
    { code: "E_LABEL", message: "no such class" },
  ] as const;
  expect(report(new MttcError(faults))).toEqual({
    code: 2,
    text: "error: a.csv:3: cannot be read [E_FILE]\n  look again\nerror: no such class [E_LABEL]",
  });
});

test("an interrupt is 130, a fault of the command line 2, help 0", () => {
  expect(report(new MttcError({ code: "E_INTERRUPTED", message: "saved in x" }))).toEqual({
    code: 130,
    text: "interrupted: saved in x [E_INTERRUPTED]",
  });
  expect(report(new CommanderError(1, "commander.unknownOption", "")).code).toBe(2);
  expect(report(new CommanderError(0, "commander.helpDisplayed", ""))).toEqual({ code: 0, text: "" });
});

test("a fault of mttc is 70, with its stack and the request to report it", () => {
  for (const error of [
    new InternalError("two values named x"),
    new TypeError("x is undefined"),
    "thrown text",
  ]) {
    const { code, text } = report(error);
    expect(code).toBe(70);
    expect(text).toContain("Please report it");
    expect(text).toContain(error instanceof Error ? error.message : error);
  }
});
