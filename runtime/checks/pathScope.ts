// Which files a label table may name: those below its own folder, or below root folders that the user gave.
// Neither `..`, an absolute path nor a symbolic link on the way may lead out of all of them: a table from
// elsewhere could otherwise have any file of the machine read.
import { lstat, realpath } from "node:fs/promises";
import { dirname, isAbsolute, relative, sep } from "node:path";
import type { Fault } from "../../compiler/diagnostics.ts";
import { listedIn, type RowPlace } from "../images/imageFile.ts";

/** How to allow a path that is refused. */
function adviceFor(path: string): string {
  return `\`image_root: ${dirname(path)}\` in the spec (data check: --root) allows that folder, / any`;
}

/** Tells paths that leave all root folders; looks every folder up once. */
export class PathScope {
  readonly #roots: readonly string[];
  readonly #verdicts = new Map<string, Promise<boolean>>();

  /** `roots`: absolute paths. */
  constructor(roots: readonly string[]) {
    this.#roots = roots;
  }

  /**
   * E_PATH_ESCAPE for an absolute `path` outside the roots, by its text or by a link; undefined where it
   * stays inside.
   */
  async fault(path: string, place: RowPlace): Promise<Fault | undefined> {
    const refuse = (message: string): Fault => {
      const { hint } = listedIn(place);
      const advice = adviceFor(path);
      const at = { file: path };
      return { code: "E_PATH_ESCAPE", message, at, hint: hint ? `${hint}; ${advice}` : advice };
    };
    if (this.#roots.some((root) => isWindowsPath(relative(root, path))))
      return refuse("the path is an absolute one of Windows");
    const [root = ""] = this.#roots;
    const isInside = this.#roots.some((folder) => !leaves(folder, path));
    if (!(await this.#holds(dirname(path), isInside)))
      return refuse(`${isInside ? "a symbolic link on the way" : "the path"} leads out of ${root}`);
    return undefined;
  }

  /** E_PATH_ESCAPE for a symbolic link that leads out of the roots; the caller knows that `path` is one. */
  async linkFault(path: string, place: RowPlace): Promise<Fault | undefined> {
    const target = await realpath(path).catch(() => undefined);
    if (target === undefined) return undefined;
    const fault = await this.fault(target, place);
    return (
      fault && { ...fault, message: `the symbolic link leads out of ${this.#roots[0]}`, at: { file: path } }
    );
  }

  /** Whether a folder really lies in a root; as its text says (`otherwise`) where it cannot be looked up. */
  #holds(folder: string, otherwise: boolean): Promise<boolean> {
    const known = this.#verdicts.get(folder);
    if (known !== undefined) return known;
    const verdict = this.#look(folder).catch(() => otherwise);
    this.#verdicts.set(folder, verdict);
    return verdict;
  }

  async #look(folder: string): Promise<boolean> {
    const real = await realpath(folder);
    for (const root of this.#roots) if (!leaves(await realpath(root), real)) return true;
    return false;
  }
}

/**
 * The scope of a table: `root` where it is given, else the table's folder and `folder`, the spec's.
 */
export function tableScope(source: string, root: string | undefined, folder?: string): PathScope {
  if (root !== undefined) return new PathScope([root]);
  return new PathScope(folder === undefined ? [dirname(source)] : [dirname(source), folder]);
}

/** Whether the path is a symbolic link, a broken one too; false where there is nothing. */
export async function isLink(path: string): Promise<boolean> {
  return await lstat(path).then(
    (stat) => stat.isSymbolicLink(),
    () => false,
  );
}

function isWindowsPath(way: string): boolean {
  return /(^|[\\/])[a-z]:[\\/]|^\\\\|[\\/]\\\\/i.test(way);
}

function leaves(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);
}
