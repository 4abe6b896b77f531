// Fetches a package, checks it against its pinned SHA-256 and puts its files into one folder, whole or not at
// all. (component, folder) -> folder.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { constants, type Dirent } from "node:fs";
import { access, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { unzipSync } from "fflate";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { writeDirectoryAtomically } from "../files/atomicDirectory.ts";
import { fileError, isThere, systemCode } from "../files/fileSystem.ts";
import { removeLeftovers, restoreReplaced, siblingName } from "../files/leftovers.ts";
import { inTheWay } from "../files/ownOutput.ts";
import type { Component, PinnedPackage } from "./pinnedPackage.ts";

/** Runs a program in a folder; resolves when it succeeded, rejects with an Error that says why not. */
export type RunProgram = (command: readonly [string, ...string[]], folder: string) => Promise<void>;

export interface InstallOptions {
  readonly component: Component;
  /** Its packages for this platform, tried in order until one can be fetched. */
  readonly packages: readonly PinnedPackage[];
  /** What to write; an earlier one is replaced. */
  readonly folder: string;
  /** Told what is being done. */
  readonly onStep: (message: string) => void;
  readonly run?: RunProgram;
}

/** What was installed. */
export interface InstalledPackage {
  readonly folder: string;
  readonly title: string;
  /** Names of the files in the folder. */
  readonly files: readonly string[];
}

/** How much of what a program wrote to stderr is quoted. */
const QUOTED_LINES = 3;
/** Foreign files that are named. */
const NAMED_FILES = 5;

/**
 * Installs a component. Its own code of error where no package can be fetched (with the reason of each), or
 * one is not what was pinned; E_FILE and E_DISK of writing. After an error the folder is as it was.
 */
export async function installPackage(options: InstallOptions): Promise<InstalledPackage> {
  const { component, packages, folder, onStep, run = runProgram } = options;
  const { code, unfetched } = component;
  const faults: Fault[] = [];
  await makeFolder(dirname(folder));
  await removeLeftovers(dirname(folder));
  for (const from of packages) {
    const temporary = siblingName(folder, "tmp");
    await makeFolder(temporary);
    try {
      onStep(`fetching ${from.title}: ${(from.downloadBytes / 1e6).toFixed(0)} MB`);
      try {
        await run(from.command, temporary);
      } catch (error) {
        const message = `${from.title}: ${error instanceof Error ? error.message : String(error)}`;
        faults.push({ code, message });
        continue;
      }
      return await unpack(from, temporary, options);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }
  const last = faults.length - 1;
  throw new MttcError(faults.map((fault, i) => (i === last ? { ...fault, hint: unfetched } : fault)));
}

/** E_RUN_EXISTS where `folder` holds anything but files of the component. */
export async function refuseForeignFiles(folder: string, { ownNames }: Component): Promise<void> {
  await restoreReplaced(folder);
  const foreign: string[] = [];
  const folders = [""];
  for (let inside = folders.pop(); inside !== undefined; inside = folders.pop()) {
    for (const entry of await entriesOf(join(folder, inside))) {
      const name = inside === "" ? entry.name : `${inside}/${entry.name}`;
      if (entry.isDirectory()) folders.push(name);
      else if (!ownNames.test(name)) foreign.push(name);
    }
    if (foreign.length >= NAMED_FILES) break;
  }
  if (foreign.length === 0) return;
  const names = foreign.slice(0, NAMED_FILES).join(", ");
  const message = `the folder holds files that mttc did not write: ${names}`;
  throw inTheWay(folder, message, "choose another folder");
}

/** The package whose files all lie in `folder`, as pinned and with programs that may be run; else undefined. */
export async function installedPackage(
  folder: string,
  packages: readonly PinnedPackage[],
): Promise<PinnedPackage | undefined> {
  for (const from of packages) if (await isWhole(folder, from)) return from;
  return undefined;
}

async function isWhole(folder: string, { files, beside = {} }: PinnedPackage): Promise<boolean> {
  for (const name of Object.keys(beside)) if (!(await isThere(join(folder, name)))) return false;
  for (const { name, sha256, isProgram } of files) {
    const path = join(folder, name);
    if (!(await isThere(path))) return false;
    const mode = isProgram === true ? constants.R_OK | constants.X_OK : constants.R_OK;
    const isUsable = await access(path, mode).then(
      () => true,
      () => false,
    );
    if (!isUsable || sha256Of(await readFile(path)) !== sha256) return false;
  }
  return true;
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  return await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError(error, folder, "read the folder");
  });
}

/** An error of the component's code, about a package. */
type Refuse = (message: string, hint?: string, cause?: unknown) => MttcError;

async function unpack(
  from: PinnedPackage,
  temporary: string,
  { component: { code }, folder, onStep, run = runProgram }: InstallOptions,
): Promise<InstalledPackage> {
  const refuse: Refuse = (what, hint, cause) => {
    const message = `${from.title}: ${what}`;
    return new MttcError(hint === undefined ? { code, message } : { code, message, hint }, { cause });
  };
  const name = (await readdir(temporary)).find((file) => file.endsWith(from.format));
  if (name === undefined) throw refuse(`no ${from.format} file arrived`);
  onStep("checking and unpacking it");
  const archive = await readFile(join(temporary, name));
  checkHash(name, archive, from.archiveSha256, refuse);
  const isWheel = from.format === ".whl";
  const contents = isWheel ? unzip(from, archive) : await untar(from, temporary, name, run, refuse);
  const files = new Map<string, Uint8Array>();
  for (const file of from.files) {
    const bytes = contents.get(file.path);
    if (bytes === undefined) throw refuse(`it has no ${file.path}`);
    checkHash(file.path, bytes, file.sha256, refuse);
    files.set(file.name, bytes);
  }
  for (const [beside, locate] of Object.entries(from.beside ?? {}))
    files.set(beside, await readFile(locate()));
  const programs = from.files.filter(({ isProgram }) => isProgram === true).map((file) => file.name);
  await writeDirectoryAtomically(folder, files, { replace: true, programs: new Set(programs) });
  return { folder, title: from.title, files: [...files.keys()] };
}

function unzip(from: PinnedPackage, archive: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const wanted = new Set(from.files.map(({ path }) => path));
  return new Map(Object.entries(unzipSync(archive, { filter: ({ name }) => wanted.has(name) })));
}

async function untar(
  from: PinnedPackage,
  folder: string,
  archive: string,
  run: RunProgram,
  refuse: Refuse,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const paths = from.files.map(({ path }) => path);
  await run(["tar", "-xzf", archive, ...paths], folder).catch((cause: unknown) => {
    throw refuse(cause instanceof Error ? cause.message : String(cause), undefined, cause);
  });
  const read = async (path: string) => [path, await readFile(join(folder, path))] as const;
  return new Map(await Promise.all(paths.map(read)));
}

function checkHash(name: string, bytes: Uint8Array, expected: string, refuse: Refuse): void {
  const found = sha256Of(bytes);
  if (found === expected) return;
  throw refuse(
    `${name} has the SHA-256 ${found}, expected ${expected}`,
    "nothing was installed: what arrived is not what this version of mttc was tested with",
  );
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((error: unknown) => {
    throw fileError(error, path, "make the folder");
  });
}

/** Output goes to stderr where a person looks, so that a package manager's own progress bar shows. */
const runProgram: RunProgram = ([program, ...args], folder) =>
  new Promise((resolve, reject) => {
    const shown = process.stderr.isTTY === true ? process.stderr : "ignore";
    const child = spawn(program, args, { cwd: folder, stdio: ["ignore", shown, "pipe"] });
    const said: Buffer[] = [];
    child.stderr?.on("data", (bytes: Buffer) => said.push(bytes));
    child.on("error", (error) => reject(new Error(`${program} cannot be run: ${error.message}`)));
    child.on("close", (status, signal) => {
      if (status === 0) return resolve();
      const lines = Buffer.concat(said).toString("utf8").trim().split("\n").slice(-QUOTED_LINES);
      reject(new Error(`${program} ended with ${signal ?? `exit code ${status}`}: ${lines.join(" / ")}`));
    });
  });
