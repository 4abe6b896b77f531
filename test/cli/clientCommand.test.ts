// `mttc client`: every client of examples/clients as a folder that stands by itself, and nothing that is not
// of ours replaced.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { clientFiles, clientsOf } from "../../cli/clientFiles.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { runCli } from "./runCli.ts";

const CLIENTS = join(PROJECT_ROOT, "examples", "clients");
/** At the top of a client: what its build takes from elsewhere. */
const BUILDS = /^(CMakeLists\.txt|go\.mod|Makefile|Cargo\.toml|pom\.xml)$/;
const LANGUAGES = (await clientsOf(CLIENTS)).map(({ language }) => language);

const top = mkdtempSync(join(tmpdir(), "mttc-test-"));
afterAll(() => rmSync(top, { recursive: true, force: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(top, "work-"));
});

/** Names of the files below a folder. */
function filesIn(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries.flatMap((entry) =>
    entry.isFile() ? [join(entry.parentPath, entry.name).slice(directory.length + 1)] : [],
  );
}

test("without a language lists every client that has a page, with a sentence", async () => {
  const pages = readdirSync(CLIENTS).filter((name) => existsSync(join(CLIENTS, name, "README.md")));
  expect(LANGUAGES).toEqual(pages.toSorted());
  const { code, stdout } = await runCli(folder, ["client"]);
  expect(code).toBe(0);
  for (const { language, about } of await clientsOf(CLIENTS)) {
    expect(about.length).toBeGreaterThan(20);
    expect(stdout).toContain(language);
  }
});

describe.each(LANGUAGES)("%s", (language) => {
  test("stands by itself, with the modules of its neighbours and without what builds leave", async () => {
    const { code, stdout, stderr } = await runCli(folder, ["client", language]);
    expect([code, stderr]).toEqual([0, ""]);
    const written = join(folder, `mttc-${language}`);
    const names = filesIn(written);
    expect(names).toEqual(expect.arrayContaining(["README.md", "mttc-client.json"]));
    expect(names.filter((name) => /(^|\/)(target|node_modules|__pycache__)\//.test(name))).toEqual([]);
    for (const name of names.filter((file) => /\.m?js$/.test(file))) {
      const text = readFileSync(join(written, name), "utf8");
      const imported = [...text.matchAll(/(?:from|import\() ?["'](\.[^"']+)["']/g)];
      for (const [, path = ""] of imported)
        expect([name, path, existsSync(join(written, name, "..", path))]).toEqual([name, path, true]);
    }
    for (const name of names.filter((file) => BUILDS.test(file)))
      expect([name, readFileSync(join(written, name), "utf8").match(/\.\.\/\w+/)]).toEqual([name, null]);
    expect(readFileSync(join(written, "README.md"), "utf8")).not.toMatch(/\]\(\.\./);
    expect(stdout).toMatch(/^Next .*\n {2}cd mttc-\w+\n {2}\S/m);
  });
});

test("a build that takes another client's folder has it beside itself", async () => {
  const put = (name: string, text: string): void => {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  };
  put("one/README.md", "# One\n\nReads pictures with what the other has.\n");
  put("one/CMakeLists.txt", 'set(PARENT "/here/../other" CACHE PATH "of it")\nadd(reader)\n');
  put("one/go.mod", "replace x => ../other/reader\n");
  put("other/README.md", "# Other\n\nHas what one takes for itself.\n");
  put("other/main.c", "int main;");
  put("other/reader/a.c", "int a;");
  const files = new Map(
    (await clientFiles(folder, "one")).map(({ name, bytes }) => [name, String(Buffer.from(bytes))]),
  );
  expect([...files.keys()].toSorted()).toEqual(["CMakeLists.txt", "README.md", "go.mod", "reader/a.c"]);
  expect(files.get("CMakeLists.txt")).toContain('set(PARENT "/here/." CACHE');
  expect(files.get("go.mod")).toBe("replace x => ./reader\n");
});

test("programs stay programs", async () => {
  const client = join(folder, "clients", "shell");
  mkdirSync(client, { recursive: true });
  writeFileSync(join(client, "README.md"), "# Shell\n\nRuns models in a shell, more or less.\n");
  writeFileSync(join(client, "run.sh"), "#!/bin/sh\n");
  chmodSync(join(client, "run.sh"), 0o755);
  const files = await clientFiles(join(folder, "clients"), "shell");
  expect(files.map(({ name, isProgram }) => [name, isProgram])).toEqual([
    ["README.md", false],
    ["run.sh", true],
  ]);
});

test("the client in Node runs where it was written", async () => {
  await runCli(folder, ["client", "node", "-o", "answers"]);
  symlinkSync(join(PROJECT_ROOT, "node_modules"), join(folder, "answers", "node_modules"));
  const args = [join(folder, "answers", "predict.js"), "nowhere.onnx", "nothing.png"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(/^error E_FILE: .*nowhere\.onnx/);
});

describe("what is in the way", () => {
  const written = () => join(folder, "mttc-python");
  const write = (...more: string[]) => runCli(folder, ["client", "python", ...more]);

  test("written again it is the same, and a file of one's own beside it stays", async () => {
    await write();
    writeFileSync(join(written(), "mine.py"), "mine");
    const before = statSync(join(written(), "predict.py")).size;
    expect((await write()).code).toBe(0);
    expect(readFileSync(join(written(), "mine.py"), "utf8")).toBe("mine");
    expect(statSync(join(written(), "predict.py")).size).toBe(before);
  });

  test("a file of an earlier mttc is replaced, one that was changed since is not", async () => {
    await write();
    const list = join(written(), "mttc-client.json");
    const reader = join(written(), "reader.py");
    const text = readFileSync(reader, "utf8");
    writeFileSync(reader, "older");
    const { code, stderr } = await write();
    expect([code, stderr]).toEqual([2, expect.stringMatching(/reader\.py \[E_RUN_EXISTS\]/)]);
    expect(readFileSync(reader, "utf8")).toBe("older");
    const hash = "1dfd24ac4c8dd6dd7ec8e7bd7e9d1a8dd8f9ab1eb7ba1d8ba5c6d4f4fd7eb4f3";
    const listed = JSON.parse(readFileSync(list, "utf8"));
    writeFileSync(list, JSON.stringify({ ...listed, files: { ...listed.files, "reader.py": hash } }));
    expect((await write()).code).toBe(2);
    const { createHash } = await import("node:crypto");
    const own = createHash("sha256").update("older").digest("hex");
    writeFileSync(list, JSON.stringify({ ...listed, files: { ...listed.files, "reader.py": own } }));
    expect((await write()).code).toBe(0);
    expect(readFileSync(reader, "utf8")).toBe(text);
  });

  test.each(["predict.py", "mttc-client.json"])(
    "a %s of somebody else's stays, and nothing is written",
    async (name) => {
      mkdirSync(written());
      writeFileSync(join(written(), name), "my thesis");
      const { code, stderr } = await write();
      expect([code, stderr]).toEqual([2, expect.stringContaining("E_RUN_EXISTS")]);
      expect(filesIn(written())).toEqual([name]);
      expect((await write("--overwrite")).code).toBe(0);
      expect(readFileSync(join(written(), name), "utf8")).not.toBe("my thesis");
    },
  );

  test("a file where the folder should be is named", async () => {
    writeFileSync(join(folder, "taken"), "");
    const { code, stderr } = await write("-o", "taken");
    expect([code, stderr]).toEqual([2, expect.stringContaining("E_FILE")]);
  });
});

test("a language that there is none of is refused with the nearest name", async () => {
  const faults = await faultsOfAsync(() => clientFiles(CLIENTS, "phyton"));
  expect(faults).toMatchObject([{ code: "E_USAGE", hint: 'did you mean "python"?' }]);
  const { code, stderr } = await runCli(folder, ["client", "cobol"]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/there are .*python.* \[E_USAGE\]/)]);
});
