// What can be downloaded: packages by pinned version and SHA-256, each fetched by the package manager that it
// belongs to, so that mirrors, proxies and credentials are those that the user has set up.
import type { ErrorCode } from "../../compiler/diagnostics.ts";

/** A file of a package and what it must be. */
export interface PackagedFile {
  /** Path inside the archive. */
  readonly path: string;
  /** Name in the folder that mttc loads from, "/" between folders. */
  readonly name: string;
  readonly sha256: string;
  /** A program, which may be run. */
  readonly isProgram?: boolean;
}

/** One package: how it is fetched and what is taken from it. */
export interface PinnedPackage {
  /** For people. */
  readonly title: string;
  /** Writes one archive into the working directory. */
  readonly command: readonly [program: string, ...args: string[]];
  /** How the archive's name ends. */
  readonly format: ".whl" | ".tgz";
  readonly archiveSha256: string;
  readonly downloadBytes: number;
  readonly files: readonly PackagedFile[];
  /** Files of this installation that are copied beside them: name -> where such a file lies. */
  readonly beside?: Readonly<Record<string, () => string>>;
}

/** Something that mttc can do with, and brings where it is asked to. */
export interface Component {
  /** For people, as in "no MPI library for linux-arm64 is known". */
  readonly what: string;
  /** Of whatever goes wrong in bringing it. */
  readonly code: Extract<ErrorCode, `E_${string}_SETUP`>;
  /** Packages by `platform-arch`, as process.platform and process.arch spell them; tried in this order. */
  readonly packages: Readonly<Record<string, readonly PinnedPackage[]>>;
  /** Names that its files have or had in a version of mttc; what else is in a folder is not ours. */
  readonly ownNames: RegExp;
  /** What to do where none of the packages can be fetched. */
  readonly unfetched: string;
  /** What to do on a platform without packages. */
  readonly elsewhere: string;
}

/** How pip downloads a wheel for Linux on x64, whatever Python runs it. */
export function wheelDownload(
  requirement: string,
  platform: string,
): readonly [program: string, ...args: string[]] {
  return [
    ...(["python3", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"] as const),
    ...["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"],
    ...["--platform", platform, "--dest", ".", requirement],
  ];
}
