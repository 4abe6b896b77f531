// What `mttc setup-cuda` does: asks, downloads, checks, unpacks.
import { createInterface } from "node:readline/promises";
import { MttcError } from "../compiler/diagnostics.ts";
import { providerFolder } from "../runtime/ort/providerFolder.ts";
import { installProvider, refuseForeignProvider } from "../runtime/setup/installProvider.ts";
import { PROVIDER_PACKAGES, type ProviderPackage } from "../runtime/setup/providerPackages.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface SetupFlags {
  readonly yes?: boolean;
  readonly output?: string;
}

/** Downloads and unpacks the provider, after asking. */
export async function setUpCuda(flags: SetupFlags, terminal: Terminal): Promise<void> {
  const folder = flags.output ?? providerFolder();
  await refuseForeignProvider(folder);
  const packages = packagesFor(process.platform, process.arch);
  if (flags.yes !== true && !(await isWanted(packages, folder, terminal))) {
    terminal.note("Nothing was downloaded.");
    return;
  }
  const onStep = (message: string): void => terminal.note(message);
  const { title, files } = await installProvider({ packages, folder, onStep });
  const setting = flags.output === undefined ? "" : `\nSet MTTC_ORT_DIR=${folder} for mttc to find it.`;
  terminal.out(`${title}: ${files.join(", ")}\nWritten to ${folder}${setting}`);
  terminal.out("Next: mttc doctor, then mttc train SPEC --ep cuda");
}

function packagesFor(platform: string, arch: string): readonly ProviderPackage[] {
  const packages = PROVIDER_PACKAGES[`${platform}-${arch}`];
  if (packages !== undefined) return packages;
  const known = Object.keys(PROVIDER_PACKAGES);
  throw new MttcError({
    code: "E_CUDA_SETUP",
    message: `no CUDA provider for ${platform}-${arch} is known, only for ${known.join(", ")}`,
    hint: "training runs on the CPU there: leave out --ep",
  });
}

/** Asks; anything but yes is no. E_USAGE where nobody can be asked. */
async function isWanted(
  packages: readonly ProviderPackage[],
  folder: string,
  terminal: Terminal,
): Promise<boolean> {
  const [first] = packages;
  const what = `${first?.title}, ${((first?.downloadBytes ?? 0) / 1e6).toFixed(0)} MB`;
  if (process.stdin.isTTY !== true)
    throw new MttcError({
      code: "E_USAGE",
      message: `setup-cuda downloads ${what}, and nobody is there to be asked`,
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
