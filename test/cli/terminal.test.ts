// What a file says never reaches a terminal as an order: names with escape sequences, C1 controls, bidi
// overrides and line breaks are shown escaped by every command, JSON stays JSON, only our own colours pass.
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shownPath } from "../../cli/pathText.ts";
import { renderTable } from "../../cli/tables.ts";
import { terminalOn } from "../../cli/terminal.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { visibleLines, visibleText } from "../../compiler/visibleText.ts";
import { runCli } from "./runCli.ts";

const CASES = join(import.meta.dirname, "../cases/terminal");
const ORDERS = /[^\P{Cc}\n]|[\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u;
/** One of each kind: a sequence, C1's CSI, a bidi override, a line separator, a break with a false fault. */
const EVIL = "\u001B[2J\u009B31m\u202Egnp\u2028\n\nerror: x";

/** A task's name may hold no control character, but this. */
const TURNED = "\u202Egnp";

function lookedAt() {
  const written = { out: "", note: "" };
  const sink = (name: "out" | "note") => ({
    isTTY: true,
    write: (text: string) => {
      written[name] += text;
    },
  });
  return { written, terminal: terminalOn(sink("out"), sink("note"), true) };
}

describe("text", () => {
  test("shows what would be obeyed as JSON spells it, and leaves every script as it is", () => {
    expect(visibleText(EVIL)).toBe("\\u001b[2J\\u009b31m\\u202egnp\\u2028\\n\\nerror: x");
    expect(visibleLines("a\nb\r\tc\u007F\uD800")).toBe("a\nb\\r\\tc\\u007f\\ud800");
    const names = "Füchse, 狐, نمر, 👩‍👩‍👧, \\u001b";
    expect(visibleText(names)).toBe(names);
    for (const value of [EVIL, "\uFEFF\u200F"]) expect(JSON.parse(`"${visibleText(value)}"`)).toBe(value);
  });

  test("of faults is on one line, and its hint on another", () => {
    const at = { file: `a${EVIL}`, path: `tasks.${EVIL}` };
    const { message } = new MttcError({ code: "E_FILE", message: EVIL, at, hint: EVIL });
    expect([message.split("\n").length, ORDERS.test(message)]).toEqual([2, false]);
  });

  test("of paths can be pasted into a shell", () => {
    expect(shownPath("/a/it's\u001B[2J\n\\.png")).toBe("$'/a/it\\'s\\u001b[2J\\n\\\\.png'");
  });
});

describe("a terminal", () => {
  test("passes its own colours and no other sequence, also inside of coloured text and tables", () => {
    const { written, terminal } = lookedAt();
    const { bold, red } = terminal.colours;
    terminal.out(`${bold(`a${EVIL}`)} ${red("b")} \u001B[31mc\u001B[1;1234567890m`);
    terminal.out(renderTable(terminal, [`head${EVIL}`], [[`cell${EVIL}`]]));
    terminal.note(terminal.noteColours.yellow("warning:"));
    const plain = (written.out + written.note).replace(/\p{Cc}\[(1|22|31|33|39)m/gu, "");
    expect(written.out.startsWith("\u001B[1ma\\u001b[2J")).toBe(true);
    expect(written.out).toContain("\u001B[31mb\u001B[39m \\u001b[31mc\\u001b[1;1234567890m\n");
    expect(written.note).toBe("\u001B[33mwarning:\u001B[39m\n");
    expect(plain.replaceAll("\n", "")).not.toMatch(ORDERS);
  });

  test("is given data as they are only where nobody looks", () => {
    const { written, terminal } = lookedAt();
    terminal.data(`a,"${EVIL}"\r\nb`);
    expect(written.out).not.toMatch(ORDERS);
    let raw = "";
    terminalOn({ write: (text: string) => (raw += text) }, { write: () => true }, true).data(`"${EVIL}"\r\n`);
    expect(raw).toBe(`"${EVIL}"\r\n`);
  });
});

describe("commands", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mttc-terminal-"));
    await cp(CASES, folder, { recursive: true });
    const text = await readFile(join(CASES, "val.csv"), "utf8");
    const rows = text.trimEnd().split("\n").slice(1, 5);
    const evil = `"${EVIL}"`;
    const cells = rows.map((row, i) => [row.split(",")[0], i % 2 ? evil : "b", `"${i}${EVIL}"`]);
    const lines = [["filepath", TURNED, evil], ...cells].map((line) => line.join(","));
    await writeFile(join(folder, "evil.csv"), `${lines.join("\n")}\n`);
    const head = (await readFile(join(CASES, "train-head.csv"), "utf8")).split("\n")[0]?.split(",")[1] ?? "";
    const spec = (table: string, task: string, more: object = {}): string =>
      JSON.stringify({
        train_labels: table,
        image_root: "/",
        tasks: [task],
        fcn: { layers: [4] },
        imshape: [16, 16],
        batch_size: 4,
        epochs: 1,
        ...more,
      });
    await writeFile(join(folder, "class.yml"), spec("train-class.csv", "color", { logdir: "run-class" }));
    await writeFile(join(folder, "head.yml"), spec("train-head.csv", head, { logdir: "run-head" }));
    await writeFile(join(folder, "path.yml"), spec("train-path.csv", "color", { logdir: "run-path" }));
    await writeFile(join(folder, "evil.yml"), spec("evil.csv", TURNED, { logdir: "run-evil" }));
    await writeFile(join(folder, "broken.yml"), `tasks: [a]\n"${"\\e[2J"}": 1\n? \u001B[31m\n`);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Each with how it ends. */
  const runs: [number, string[]][] = [
    [0, ["train", "class.yml"]],
    [0, ["evaluate", "run-class"]],
    [0, ["export", "run-class"]],
    [0, ["predict", "run-class/export/model.onnx", "im"]],
    [2, ["train", "head.yml"]],
    [2, ["inspect", "head.yml"]],
    [2, ["inspect", "head.yml", "--stage=evaluate"]],
    [2, ["train", "path.yml"]],
    [2, ["data", "check", "path.yml"]],
    [0, ["data", "stats", "evil.csv"]],
    [2, ["data", "stats", "evil.csv", "--tasks", `nothing${EVIL}`]],
    [0, ["data", "stats", "evil.yml", "-o", "evil.png"]],
    [0, ["data", "check", "evil.csv"]],
    [0, ["init", "evil.csv", "-o", "drafted.yml"]],
    [0, ["compile", "evil.yml", "-o", "bundle", "--timing"]],
    [0, ["train", "evil.yml"]],
    [2, ["inspect", "broken.yml"]],
    [2, ["inspect", `no\u001B[2J.yml`]],
    [2, ["inspect", "class.yml", "--at", EVIL, "--stage=train"]],
    [2, [`tr\u001B[2Jain`]],
  ];
  test.each(runs)("exit %i: %j", async (expected, args) => {
    const { code, stdout, stderr } = await runCli(folder, args);
    expect([code, stderr]).toEqual([expected, expect.anything()]);
    expect(`${stdout}${stderr}`).not.toMatch(ORDERS);
    expect(`${stdout}\n${stderr}`).not.toContain("\nerror: x");
  });

  test("with --json print what JSON reads back", async () => {
    const { stdout } = await runCli(folder, ["data", "stats", "evil.yml", "--json"]);
    expect(stdout).not.toMatch(ORDERS);
    expect(JSON.parse(stdout).classes).toEqual({ [TURNED]: [EVIL, "b"] });
  });
});
