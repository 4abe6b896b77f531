// Which files a label table may name when it is checked: those below a root folder, its own by default.
// Neither `..`, an absolute path nor a symbolic link on the way may lead out of it.
import { lstat, realpath } from "node:fs/promises";
import { dirname, isAbsolute, relative, sep } from "node:path";
import type { Fault } from "../../compiler/diagnostics.ts";
import { listedIn, type RowPlace } from "./imageFile.ts";

/** Tells paths that leave a root folder; looks every folder up once. */
export class PathScope {
  private readonly root: string;
  private readonly realFolders = new Map<string, Promise<string>>();

  constructor(root: string) {
    this.root = root;
  }

  /**
   * E_PATH_ESCAPE for an absolute `path` outside the root, by its text or by a link; undefined where it stays
   * inside or does not exist.
   */
  async fault(path: string, place: RowPlace): Promise<Fault | undefined> {
    const refuse = (message: string): Fault => {
      const { hint } = listedIn(place);
      const advice = "--root FOLDER allows more";
      const at = { file: path };
      return { code: "E_PATH_ESCAPE", message, at, hint: hint ? `${hint}; ${advice}` : advice };
    };
    if (leaves(this.root, path)) return refuse(`the path leads out of ${this.root}`);
    if (/(^|[\\/])[a-z]:[\\/]|^\\\\|[\\/]\\\\/i.test(relative(this.root, path)))
      return refuse("the path is an absolute one of Windows");
    try {
      const root = await this.realFolder(this.root);
      if (leaves(root, await this.realFolder(dirname(path))))
        return refuse(`a symbolic link on the way leads out of ${this.root}`);
      if ((await lstat(path)).isSymbolicLink() && leaves(root, await realpath(path)))
        return refuse(`the symbolic link leads out of ${this.root}`);
    } catch {
      // What cannot be looked up cannot be read either; the reader says why.
    }
    return undefined;
  }

  private realFolder(folder: string): Promise<string> {
    const known = this.realFolders.get(folder) ?? realpath(folder);
    this.realFolders.set(folder, known);
    return known;
  }
}

function leaves(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);
}
