// From what the user asks for ("auto", "cuda:1") to a library and a provider. `auto` takes the CUDA device
// where there is one, and otherwise the CPU: without a word where no CUDA provider was ever brought here,
// with one line that says why where there is one that cannot be used.
import path from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { missingProviderFiles } from "./cudaLibraries.ts";
import { currentSurroundings, locateOrtLibrary, type Surroundings } from "./library.ts";
import { type Provider, providerTraits } from "./provider.ts";
import { providerFolder } from "./providerFolder.ts";
import type { ProviderRequest } from "./providerName.ts";

/**
 * The library's file for a request: the given one, else MTTC_ORT_DIR, else, where CUDA may be used, what
 * `mttc setup-cuda` brought, else the package's. E_ORT_LOAD.
 */
export function locateForProvider(
  request: ProviderRequest,
  libraryPath?: string,
  around: Surroundings = currentSurroundings(),
  folder: string = providerFolder(),
): string {
  const isOpen = libraryPath === undefined && (around.ortFolder ?? "") === "";
  const library = request.kind === "auto" ? "cuda" : providerTraits(request).library;
  const isBrought =
    isOpen && library === "cuda" && missingProviderFiles(path.join(folder, "core")).length === 0;
  return locateOrtLibrary(isBrought ? folder : libraryPath, around);
}

/** What a request came to, and why it is the CPU where that needs saying. */
export interface Chosen<T> {
  readonly opened: T;
  readonly provider: Provider;
  readonly note: string | undefined;
}

/** Opens the provider that is asked for; for `auto` the first of its CUDA device and the CPU that opens. */
export function openProvider<T>(
  request: ProviderRequest,
  core: string,
  open: (provider: Provider) => T,
): Chosen<T> {
  if (request.kind !== "auto") return { opened: open(request), provider: request, note: undefined };
  const cpu: Provider = { kind: "cpu" };
  if (missingProviderFiles(core).length > 0) return { opened: open(cpu), provider: cpu, note: undefined };
  const cuda: Provider = { kind: "cuda", device: request.device ?? 0, tf32: request.tf32 };
  try {
    return { opened: open(cuda), provider: cuda, note: undefined };
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    return { opened: open(cpu), provider: cpu, note: `running on the CPU: ${reasonOf(error)}` };
  }
}

function reasonOf({ faults }: MttcError): string {
  const [first] = faults;
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more: \`mttc doctor\`)` : "";
  const hint = first?.hint === undefined ? "" : `; ${first.hint}`;
  return `${(first?.message ?? "").split("\n")[0]}${more}${hint}`;
}
