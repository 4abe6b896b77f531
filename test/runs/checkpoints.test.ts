// Checkpoints and atomic writes, in one process: what is saved is loaded, damage is noticed and set aside,
// and a file system that fails at any one call leaves the older checkpoint and nothing half-written.
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeDirectoryAtomically, writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";
import { type FileSystem, nodeFileSystem } from "../../runtime/files/fileSystem.ts";
import { loadNewestCheckpoint, saveCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { contentOf, isIntact } from "./content.ts";

const BYTES = 3_000;
let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "mttc-checkpoints-"));
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

const folders = (): string[] => readdirSync(join(run, "checkpoints")).sort();

/** A file system of which the call number `failing` (from 1, removals not counted) fails with `code`. */
function failingAt(failing: number, code: string): { fileSystem: FileSystem; calls: () => number } {
  let calls = 0;
  // A copy, since a proxy may not answer for the frozen object itself.
  const fileSystem = new Proxy<FileSystem>(
    { ...nodeFileSystem },
    {
      get(target, name: keyof FileSystem) {
        if (name === "remove") return target.remove;
        return async (...parameters: unknown[]) => {
          calls += 1;
          if (calls === failing) throw Object.assign(new Error(`${code}: planted, ${name}`), { code });
          return (target[name] as (...all: unknown[]) => unknown)(...parameters);
        };
      },
    },
  );
  return { fileSystem, calls: () => calls };
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at]! ^= 1 << (at % 8);
  writeFileSync(file, bytes);
}

describe("checkpoints", () => {
  it("loads the newest, and keeps the newest three", async () => {
    for (let epoch = 1; epoch <= 5; epoch++) await saveCheckpoint(run, contentOf(epoch, BYTES));
    expect(folders()).toEqual(["epoch-0003", "epoch-0004", "epoch-0005"]);
    const loaded = await loadNewestCheckpoint(run);
    expect([loaded.epoch, loaded.warnings, isIntact(loaded, BYTES)]).toEqual([5, [], true]);
  });

  it("orders epochs by number, and a second save of an epoch is newer than the first", async () => {
    await saveCheckpoint(run, contentOf(9_999, BYTES), 5);
    await saveCheckpoint(run, contentOf(10_000, BYTES), 5);
    const again = await saveCheckpoint(run, { ...contentOf(10_000, BYTES), progress: { batch: 7 } }, 5);
    expect((await loadNewestCheckpoint(run)).progress).toEqual({ batch: 7 });
    expect(again).toBe(join(run, "checkpoints", "epoch-10000.1"));
  });

  it("says E_CKPT_NONE where there is none, never starting anew in silence", async () => {
    await expect(loadNewestCheckpoint(run)).rejects.toMatchObject({ code: "E_CKPT_NONE" });
    await saveCheckpoint(run, contentOf(1, BYTES));
    rmSync(join(run, "checkpoints", "epoch-0001", "MANIFEST.json"));
    await expect(loadNewestCheckpoint(run)).rejects.toThrow(/MANIFEST.json is missing/);
    expect(folders()).toEqual(["epoch-0001.corrupt"]);
  });

  it("skips a truncated, lengthened or missing file with a warning, and sets it aside", async () => {
    const damages: ((file: string) => void)[] = [
      (file) => writeFileSync(file, readFileSync(file).subarray(0, -2)),
      (file) => writeFileSync(file, ""),
      (file) => appendFileSync(file, "\0"),
      (file) => rmSync(file),
    ];
    await saveCheckpoint(run, contentOf(1, BYTES));
    for (const name of ["state.safetensors", "progress.json", "MANIFEST.json"]) {
      for (const damage of damages) {
        damage(join(await saveCheckpoint(run, contentOf(2, BYTES)), name));
        const loaded = await loadNewestCheckpoint(run);
        expect([loaded.epoch, isIntact(loaded, BYTES)]).toEqual([1, true]);
        expect(loaded.warnings).toEqual([expect.stringMatching(/epoch-0002.*skipped, now .*corrupt$/)]);
      }
    }
    expect(folders().filter((name) => name.endsWith(".corrupt"))).toHaveLength(12);
  });

  it("never loads a flipped bit of any file as data", async () => {
    await saveCheckpoint(run, contentOf(1, 100));
    const good = await saveCheckpoint(run, contentOf(2, 100));
    const copy = join(run, "copy");
    cpSync(good, copy, { recursive: true });
    let older = 0;
    for (const name of readdirSync(copy)) {
      const size = readFileSync(join(copy, name)).length;
      for (let at = 0; at < size; at += 3) {
        rmSync(good, { recursive: true, force: true });
        cpSync(copy, good, { recursive: true });
        flip(join(good, name), at);
        const outcome = await loadNewestCheckpoint(run).catch((error) => error.code as string);
        if (typeof outcome === "string") expect(outcome).toBe("E_CKPT_MISMATCH");
        else expect(isIntact(outcome, 100)).toBe(true);
        if (typeof outcome !== "string" && outcome.epoch === 1) older += 1;
        else expect(name).toBe("MANIFEST.json"); // white space, or the format's digit
      }
    }
    expect(older).toBeGreaterThan(150);
  });

  it("refuses a format of a later mttc instead of calling it damaged", async () => {
    const manifest = join(await saveCheckpoint(run, contentOf(1, BYTES)), "MANIFEST.json");
    writeFileSync(manifest, '{"format": 2, "something": "else"}');
    await expect(loadNewestCheckpoint(run)).rejects.toMatchObject({ code: "E_CKPT_MISMATCH" });
    expect(folders()).toEqual(["epoch-0001"]);
  });

  it.each([
    ["ENOSPC", "E_DISK"],
    ["EFBIG", "E_DISK"],
    ["EIO", "E_FILE"],
  ])("survives %s at every single file system call", async (code, expected) => {
    for (let epoch = 1; epoch <= 3; epoch++) await saveCheckpoint(run, contentOf(epoch, BYTES));
    let failures = 0;
    for (let call = 1; ; call++) {
      const { fileSystem, calls } = failingAt(call, code);
      const save = saveCheckpoint(run, contentOf(3 + call, BYTES), 3, fileSystem);
      const error = await save.then(() => undefined).catch((reason) => reason);
      if (calls() < call) break;
      failures += 1;
      expect(error).toMatchObject({ code: expected });
      expect(error.message).toContain(run);
      const loaded = await loadNewestCheckpoint(run);
      expect([isIntact(loaded, BYTES), loaded.warnings]).toEqual([true, []]);
      expect(folders().filter((name) => !/^epoch-\d+$/.test(name) && !name.startsWith(".trash"))).toEqual([]);
    }
    expect(failures).toBeGreaterThan(15);
  });
});

describe("atomic writes", () => {
  it("writes a folder whole when the system takes only a few bytes at a time", async () => {
    const short: FileSystem = {
      ...nodeFileSystem,
      write: (handle, bytes) => nodeFileSystem.write(handle, bytes.subarray(0, 7)),
    };
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    await writeDirectoryAtomically(join(run, "a/b"), new Map([["x/y.bin", bytes]]), { fileSystem: short });
    expect(Buffer.compare(readFileSync(join(run, "a/b/x/y.bin")), bytes)).toBe(0);
    expect(readdirSync(join(run, "a"))).toEqual(["b"]);
  });

  it("replaces a folder only when told to, and gives it back when the replacement fails", async () => {
    const path = join(run, "bundle");
    const files = (text: string): Map<string, Uint8Array> => new Map([[text, Buffer.from(text)]]);
    await writeDirectoryAtomically(path, files("one"));
    await expect(writeDirectoryAtomically(path, files("two"))).rejects.toMatchObject({ code: "E_FILE" });
    let renames = 0;
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      rename: (from, to) => {
        renames += 1;
        if (renames === 2) throw Object.assign(new Error("planted"), { code: "EIO" });
        return nodeFileSystem.rename(from, to);
      },
    };
    const replacing = writeDirectoryAtomically(path, files("two"), { replace: true, fileSystem });
    await expect(replacing).rejects.toMatchObject({ code: "E_FILE" });
    expect([readdirSync(path), readdirSync(run)]).toEqual([["one"], ["bundle"]]);
    await writeDirectoryAtomically(path, files("two"), { replace: true });
    expect([readdirSync(path), readdirSync(run)]).toEqual([["two"], ["bundle"]]);
  });

  it("refuses names that lead out of the folder", async () => {
    const files = new Map([["../x", new Uint8Array(1)]]);
    await expect(writeDirectoryAtomically(join(run, "a"), files)).rejects.toThrow("not a name inside");
    expect(readdirSync(run)).toEqual([]);
  });

  it("leaves the old file when a new one cannot be written", async () => {
    const path = join(run, "report.json");
    await writeFileAtomically(path, "old");
    for (let call = 1; call <= 4; call++) {
      const failing = writeFileAtomically(path, "new", failingAt(call, "ENOSPC").fileSystem);
      await expect(failing).rejects.toMatchObject({ code: "E_DISK" });
      expect([readFileSync(path, "utf8"), readdirSync(run)]).toEqual(["old", ["report.json"]]);
    }
    await writeFileAtomically(path, "new");
    expect(readFileSync(path, "utf8")).toBe("new");
  });
});
