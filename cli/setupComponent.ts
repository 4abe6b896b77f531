// What `mttc setup-cuda` and `mttc setup-mpi` do: ask, download, check, unpack.
import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { MttcError } from "../compiler/diagnostics.ts";
import { installedPackage, installPackage, refuseForeignFiles } from "../runtime/setup/installPackage.ts";
import type { Component, PinnedPackage } from "../runtime/setup/pinnedPackage.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the commands. */
export interface SetupFlags {
  readonly yes?: boolean;
  readonly output?: string;
}

/** What a command brings, where to, and what is said about it. */
export interface Setup {
  /** As it is typed: "setup-cuda". */
  readonly command: string;
  readonly component: Component;
  /** Where mttc looks by itself. */
  readonly folder: string;
  /** The environment's variable that names another folder. */
  readonly variable: string;
  /** What to do next. */
  readonly next: string;
}

/** Files that are named; of the CUDA provider all of them. */
const NAMED_FILES = 3;

/** Downloads and unpacks a component, after asking; nothing to do where it is there as pinned. */
export async function setUp(setup: Setup, flags: SetupFlags, terminal: Terminal): Promise<void> {
  const { component, variable, next } = setup;
  const folder = resolve(flags.output ?? setup.folder);
  await refuseForeignFiles(folder, component);
  const packages = packagesFor(component, process.platform, process.arch);
  const setting = flags.output === undefined ? "" : `\nSet ${variable}="${folder}" for mttc to find it.`;
  const there = await installedPackage(folder, packages);
  if (there) {
    terminal.out(`${there.title} is in ${folder} already, whole.${setting}\n${next}`);
    return;
  }
  if (flags.yes !== true && !(await isWanted(setup.command, packages, folder, terminal))) {
    terminal.note("Nothing was downloaded.");
    return;
  }
  const onStep = (message: string): void => terminal.note(message);
  const { title, files } = await installPackage({ component, packages, folder, onStep });
  terminal.out(`${title}: ${listed(files)}\nWritten to ${folder}${setting}\n${next}`);
}

/** "a, b, c and 19 more". */
function listed(files: readonly string[]): string {
  const rest = files.length - NAMED_FILES;
  return `${files.slice(0, NAMED_FILES).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function packagesFor(component: Component, platform: string, arch: string): readonly PinnedPackage[] {
  const { what, code, packages, elsewhere } = component;
  const found = packages[`${platform}-${arch}`];
  if (found !== undefined) return found;
  const known = Object.keys(packages).join(", ");
  const message = `no ${what} for ${platform}-${arch} is known, only for ${known}`;
  throw new MttcError({ code, message, hint: elsewhere });
}

/** Asks; anything but yes is no. E_USAGE where nobody can be asked. */
async function isWanted(
  command: string,
  packages: readonly PinnedPackage[],
  folder: string,
  terminal: Terminal,
): Promise<boolean> {
  const [first] = packages;
  const what = `${first?.title}, ${((first?.downloadBytes ?? 0) / 1e6).toFixed(0)} MB`;
  if (process.stdin.isTTY !== true)
    throw new MttcError({
      code: "E_USAGE",
      message: `${command} downloads ${what}, and nobody is there to be asked`,
      hint: "say --yes",
    });
  terminal.note(`This downloads ${what}\nand writes it to ${folder}.`);
  const questions = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await questions.question("Go on? [y/N] ");
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    questions.close();
  }
}
