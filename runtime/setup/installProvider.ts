// Fetches a package of the CUDA provider, checks it against its pinned SHA-256 and puts its libraries into
// one folder, whole or not at all. package -> folder with core and provider.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { unzipSync } from "fflate";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { writeDirectoryAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { removeLeftovers, restoreReplaced, siblingName } from "../files/leftovers.ts";
import { inTheWay } from "../files/ownOutput.ts";
import { locateOrtLibrary } from "../ort/library.ts";
import { CORE_NAME, type ProviderPackage } from "./providerPackages.ts";

/** Runs a program in a folder; resolves when it succeeded, rejects with an Error that says why not. */
export type RunProgram = (command: readonly [string, ...string[]], folder: string) => Promise<void>;

export interface InstallOptions {
  /** Tried in order until one can be fetched. */
  readonly packages: readonly ProviderPackage[];
  /** What to write; an earlier one is replaced. */
  readonly folder: string;
  /** Told what is being done. */
  readonly onStep: (message: string) => void;
  readonly run?: RunProgram;
}

/** What was installed. */
export interface InstalledProvider {
  readonly folder: string;
  readonly title: string;
  /** Names of the libraries in the folder. */
  readonly files: readonly string[];
}

/** Files of a provider's folder, core included. */
const LIBRARY_NAME = /^(lib)?onnxruntime.*\.(so(\.[\d.]+)?|dll|dylib)$/;
/** How much of what a program wrote to stderr is quoted. */
const QUOTED_LINES = 3;

/**
 * Installs the provider. E_CUDA_SETUP where no package can be fetched (with the reason of each), or one is
 * not what was pinned; E_FILE and E_DISK of writing. After an error the folder is as it was.
 */
export async function installProvider(options: InstallOptions): Promise<InstalledProvider> {
  const { packages, folder, onStep, run = runProgram } = options;
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
        faults.push(refusal(`${from.title}: ${error instanceof Error ? error.message : String(error)}`));
        continue;
      }
      return await unpack(from, temporary, options);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }
  const hint =
    "on another machine, `pip download onnxruntime-gpu`, unpack it and set MTTC_ORT_DIR to its folder";
  throw new MttcError(faults.map((fault, i) => (i === faults.length - 1 ? { ...fault, hint } : fault)));
}

/** E_RUN_EXISTS where `folder` holds anything but the libraries of a provider. */
export async function refuseForeignProvider(folder: string): Promise<void> {
  await restoreReplaced(folder);
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError(error, folder, "read the folder");
  });
  const foreign = names.filter((name) => !LIBRARY_NAME.test(name));
  if (foreign.length === 0) return;
  const message = `the folder holds files that mttc did not write: ${foreign.slice(0, 5).join(", ")}`;
  throw inTheWay(folder, message, "choose another folder");
}

async function unpack(
  from: ProviderPackage,
  temporary: string,
  { folder, onStep, run = runProgram }: InstallOptions,
): Promise<InstalledProvider> {
  const name = (await readdir(temporary)).find((file) => file.endsWith(from.format));
  if (name === undefined) throw new MttcError(refusal(`${from.title}: no ${from.format} file arrived`));
  onStep("checking and unpacking it");
  const archive = await readFile(join(temporary, name));
  checkHash(from, name, archive, from.archiveSha256);
  const libraries = new Map<string, Uint8Array>();
  const contents = from.format === ".whl" ? unzip(from, archive) : await untar(from, temporary, name, run);
  for (const file of from.files) {
    const bytes = contents.get(file.path);
    if (bytes === undefined) throw new MttcError(refusal(`${from.title}: it has no ${file.path}`));
    checkHash(from, file.path, bytes, file.sha256);
    libraries.set(file.name, bytes);
  }
  if (!from.hasCore)
    libraries.set(CORE_NAME, await readFile(locateOrtLibrary(undefined, packageSurroundings())));
  await writeDirectoryAtomically(folder, libraries, { replace: true });
  return { folder, title: from.title, files: [...libraries.keys()] };
}

/** Those of this process, without a library of the user's choice: the core of onnxruntime-node is meant. */
function packageSurroundings(): { platform: string; arch: string } {
  return { platform: process.platform, arch: process.arch };
}

function unzip(from: ProviderPackage, archive: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const wanted = new Set(from.files.map(({ path }) => path));
  return new Map(Object.entries(unzipSync(archive, { filter: ({ name }) => wanted.has(name) })));
}

async function untar(
  from: ProviderPackage,
  folder: string,
  archive: string,
  run: RunProgram,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const paths = from.files.map(({ path }) => path);
  await run(["tar", "-xzf", archive, ...paths], folder).catch((cause: unknown) => {
    throw new MttcError(refusal(`${from.title}: ${cause instanceof Error ? cause.message : cause}`), {
      cause,
    });
  });
  const read = async (path: string) => [path, await readFile(join(folder, path))] as const;
  return new Map(await Promise.all(paths.map(read)));
}

function checkHash(from: ProviderPackage, name: string, bytes: Uint8Array, expected: string): void {
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found === expected) return;
  throw new MttcError({
    ...refusal(`${from.title}: ${name} has the SHA-256 ${found}, expected ${expected}`),
    hint: "nothing was installed: what arrived is not what this version of mttc was tested with",
  });
}

function refusal(message: string): Fault {
  return { code: "E_CUDA_SETUP", message };
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
