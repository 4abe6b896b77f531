// Where outputs go and what they replace: links, devices and pipes are written through, modes are kept, a
// folder's replacement may be killed before any of its system calls, leftovers of dead processes go and those
// of live ones stay.
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeDirectoryAtomically, writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";
import { removeLeftovers, restoreReplaced, siblingName } from "../../runtime/files/leftovers.ts";
import { refuseForeignFile, refuseForeignFolder, textMark } from "../../runtime/files/ownOutput.ts";

const CHILD = join(import.meta.dirname, "../../dist/test/files/replacingChild.js");
const MARK = { listFile: "list.json", format: "test" };
const isPosix = process.platform !== "win32";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mttc-outputs-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (...names: string[]): string => join(folder, ...names);
const files = (text: string): Map<string, Uint8Array> => new Map([["a", Buffer.from(text)]]);

/** The name of a sibling, as a process that is gone would have given it. */
function ofDeadProcess(path: string, purpose: "tmp" | "old" | "trash"): string {
  const { pid } = spawnSync(process.execPath, ["--version"]);
  return siblingName(path, purpose).replace(`-${process.pid}-`, `-${pid}-`);
}

describe.runIf(isPosix)("one file", () => {
  it("goes through a link, also one that leads nowhere yet, and the link stays", async () => {
    mkdirSync(at("elsewhere"));
    writeFileSync(at("elsewhere", "real.csv"), "old");
    symlinkSync(at("elsewhere", "real.csv"), at("link.csv"));
    symlinkSync("elsewhere/new.csv", at("dangling.csv"));
    for (const name of ["link.csv", "dangling.csv"]) {
      await writeFileAtomically(at(name), "new");
      expect([lstatSync(at(name)).isSymbolicLink(), readFileSync(at(name), "utf8")]).toEqual([true, "new"]);
    }
    expect(readdirSync(at("elsewhere")).sort()).toEqual(["new.csv", "real.csv"]);
  });

  it("keeps the mode of what it replaces", async () => {
    writeFileSync(at("secret.csv"), "old");
    chmodSync(at("secret.csv"), 0o640);
    await writeFileAtomically(at("secret.csv"), "new");
    expect([statSync(at("secret.csv")).mode & 0o777, readFileSync(at("secret.csv"), "utf8")]).toEqual([
      0o640,
      "new",
    ]);
  });

  it("is written into a pipe, which stays a pipe", async () => {
    expect(spawnSync("mkfifo", [at("pipe")]).status).toBe(0);
    const reader = spawn("cat", [at("pipe")], { stdio: ["ignore", "pipe", "inherit"] });
    let read = "";
    reader.stdout.on("data", (data) => {
      read += String(data);
    });
    const closed = new Promise((resolve) => reader.once("close", resolve));
    await writeFileAtomically(at("pipe"), "x".repeat(200_000));
    await closed;
    expect([read.length, lstatSync(at("pipe")).isFIFO(), readdirSync(folder)]).toEqual([
      200_000,
      true,
      ["pipe"],
    ]);
  });

  it("is written into a device, which stays a device", async () => {
    await writeFileAtomically("/dev/null", "nothing");
    expect(lstatSync("/dev/null").isCharacterDevice()).toBe(true);
    await expect(writeFileAtomically("/dev/full", "nothing")).rejects.toMatchObject({ code: "E_DISK" });
  });

  it("is refused where a folder stands", async () => {
    await expect(writeFileAtomically(folder, "text")).rejects.toThrow("it is a folder");
    await expect(refuseForeignFile(folder, undefined)).rejects.toThrow("it is a folder");
  });

  it("replaces only what begins like ours, is empty, or whatever --overwrite allows", async () => {
    const mark = textMark("predictions", "file,task");
    const refuse = (text: string, overwrite = false): Promise<void> => {
      writeFileSync(at("x.csv"), text);
      return refuseForeignFile(at("x.csv"), mark, overwrite);
    };
    await refuseForeignFile(at("nothing.csv"), mark);
    await refuse("");
    await refuse("file,task,class\n");
    await refuse("my thesis", true);
    await expect(refuse("my thesis")).rejects.toMatchObject({ code: "E_RUN_EXISTS" });
    await expect(refuse("file")).rejects.toMatchObject({ code: "E_RUN_EXISTS" });
  });
});

describe("leftovers", () => {
  it("of a killed writer go when the same output is written again; others stay", async () => {
    const dead = ofDeadProcess(at("out.csv"), "tmp");
    const live = siblingName(at("out.csv"), "tmp");
    const other = ofDeadProcess(at("other.csv"), "tmp");
    const users = [".tmp-12-mine", ".trash-can", ".old-photos", "tmp"];
    for (const path of [dead, live, other, ...users.map((name) => at(name))]) writeFileSync(path, "half");
    await writeFileAtomically(at("out.csv"), "whole");
    const left = [basename(live), basename(other), "out.csv", ...users];
    expect(readdirSync(folder).sort()).toEqual(left.sort());
    await removeLeftovers(folder);
    expect(readdirSync(folder)).not.toContain(basename(other));
    expect(readdirSync(folder)).toContain(basename(live));
  });

  it("of another machine stay for a week", async () => {
    const foreign = siblingName(at("out"), "tmp").replace(/^(.*\.tmp-)[0-9a-f]{8}/, "$1abcdef01");
    writeFileSync(foreign, "half");
    await removeLeftovers(folder);
    expect(existsSync(foreign)).toBe(true);
    const week = new Date(Date.now() - 8 * 86_400_000);
    utimesSync(foreign, week, week);
    await removeLeftovers(folder);
    expect(existsSync(foreign)).toBe(false);
  });

  it("of a name that takes all 255 bytes are found", async () => {
    const name = `${"ü".repeat(120)}.json`;
    writeFileSync(ofDeadProcess(at(name), "tmp"), "half");
    await writeFileAtomically(at(name), "whole");
    expect(readdirSync(folder)).toEqual([name]);
  });

  it("that earlier versions named are put back or removed, too", async () => {
    const { pid } = spawnSync(process.execPath, ["--version"]);
    for (const name of ["export", "epoch-0001"]) {
      mkdirSync(at(`.trash-${pid}-0123abcd-${name}`));
      writeFileSync(at(`.trash-${pid}-0123abcd-${name}`, "a"), "old");
    }
    writeFileSync(at(`.tmp-${pid}-0123abcd-x`), "half");
    await removeLeftovers(folder);
    expect([readdirSync(folder), readFileSync(at("export", "a"), "utf8")]).toEqual([["export"], "old"]);
  });
});

describe("a folder", () => {
  it.runIf(isPosix)("goes through a link, and it and its files keep their modes", async () => {
    await writeDirectoryAtomically(at("real"), files("one"));
    chmodSync(at("real"), 0o750);
    chmodSync(at("real", "a"), 0o604);
    symlinkSync("real", at("link"));
    await writeDirectoryAtomically(at("link"), files("two"), { replace: true });
    expect([lstatSync(at("link")).isSymbolicLink(), readFileSync(at("real", "a"), "utf8")]).toEqual([
      true,
      "two",
    ]);
    expect([statSync(at("real")).mode & 0o777, statSync(at("real", "a")).mode & 0o777]).toEqual([
      0o750, 0o604,
    ]);
  });

  it("does not take the place of a file", async () => {
    writeFileSync(at("thesis"), "mine");
    const writing = writeDirectoryAtomically(at("thesis"), files("x"), { replace: true });
    await expect(writing).rejects.toMatchObject({ code: "E_RUN_EXISTS" });
    await expect(refuseForeignFolder(at("thesis"), MARK)).rejects.toMatchObject({ code: "E_RUN_EXISTS" });
    expect([readFileSync(at("thesis"), "utf8"), readdirSync(folder)]).toEqual(["mine", ["thesis"]]);
  });

  it("whose replacement is killed before any one of its calls stands whole for the next command", async () => {
    const run = (call: number, text: string) =>
      spawnSync(process.execPath, [CHILD, at("export"), `${call}`, text]);
    const content = (): string[] => ["a", "sub/b"].map((name) => readFileSync(at("export", name), "utf8"));
    expect(String(run(0, "first").stdout)).toMatch(/^done/);
    let [kills, putBack] = [0, 0];
    for (let call = 1; ; call++) {
      const before = content();
      const text = `text ${call}`;
      if (run(call, text).signal !== "SIGKILL") break;
      kills += 1;
      if (!existsSync(at("export"))) putBack += 1;
      // What every command does with an output before it begins.
      await refuseForeignFolder(at("export"), MARK);
      expect([before, [text, text]]).toContainEqual(content());
    }
    expect(kills).toBeGreaterThan(20);
    expect(putBack).toBe(1);
    // The last one, which was not killed, took away what the others left.
    expect(readdirSync(folder)).toEqual(["export"]);
  });

  it("is put back for whoever asks for it by name, and by no other process while its writer lives", async () => {
    await writeDirectoryAtomically(at("bundle"), files("one"));
    const live = siblingName(at("bundle"), "old");
    renameSync(at("bundle"), live);
    await restoreReplaced(at("bundle"));
    expect(existsSync(at("bundle"))).toBe(false);
    renameSync(live, ofDeadProcess(at("bundle"), "old"));
    await Promise.all([restoreReplaced(at("bundle")), restoreReplaced(at("bundle"))]);
    expect(readFileSync(at("bundle", "a"), "utf8")).toBe("one");
    await restoreReplaced(at("nowhere", "bundle"));
  });
});
