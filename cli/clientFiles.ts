// The files of a client of examples/clients: what lies in its folder, and the modules that it takes from
// another client's beside it, as one folder that stands by itself.
import { readdir, readFile, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { InternalError, MttcError, suggestName } from "../compiler/diagnostics.ts";
import { fileError } from "../runtime/files/fileSystem.ts";

/** What builds leave in a client's folder. */
const BUILT = ["target", "node_modules", "__pycache__"];
/** A module of another client, as JavaScript imports it: quote, folder, file. */
const OTHERS = /(["'])\.\.\/(\w+)\/([\w./-]+\.m?js)\1/g;
const NEIGHBOURS = /["']\.\/([\w./-]+\.m?js)["']/g;
/** Files that say from where a build takes another client's code, and how they say it. */
const BUILDS = /^(CMakeLists\.txt|go\.mod|Makefile|Cargo\.toml|pom\.xml)$/;
const OTHER_FOLDERS = /\.\.\/(\w+)(?:\/(\w+))?(?=[\s"')/]|$)/gm;
/** Only from the top of a client's folder "../" leads to another client. */
const MODULES = /^[^/]+\.(m?js|html)$/;
/** A link or picture that leads out of a client's folder: there is nothing behind it elsewhere. */
const LINKS_OUT = /!?\[([^\]]*)\]\(\.\.\/[^)]*\)/g;

/** A file of a client. */
export interface ClientFile {
  /** Below the client's folder, with "/" between folders. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly isProgram: boolean;
}

/** A client as it is listed. */
export interface ClientEntry {
  readonly language: string;
  /** The first sentence of its page. */
  readonly about: string;
}

/** examples/clients of this package; the program lies in dist/cli. */
export const CLIENTS_FOLDER = new URL("../../examples/clients/", import.meta.url);

/** The clients of a folder, by name: each folder in it that has a page. */
export async function clientsOf(folder: string): Promise<ClientEntry[]> {
  const entries = await inFolder(folder, () => readdir(folder, { withFileTypes: true }));
  const clients = entries
    .filter((entry) => entry.isDirectory())
    .map(async ({ name }): Promise<ClientEntry[]> => {
      const page = await readFile(join(folder, name, "README.md"), "utf8").catch(() => undefined);
      return page === undefined ? [] : [{ language: name, about: firstSentence(page) }];
    });
  const found = (await Promise.all(clients)).flat();
  return found.toSorted((a, b) => (a.language < b.language ? -1 : 1));
}

/** The files of the client called `language`, by name; E_USAGE where there is none. */
export async function clientFiles(folder: string, language: string): Promise<ClientFile[]> {
  const known = (await clientsOf(folder)).map((client) => client.language);
  if (!known.includes(language))
    throw new MttcError({
      code: "E_USAGE",
      message: `no client in "${language}"; there are ${known.join(", ")}`,
      hint: suggestName(language, known),
    });
  const own = join(folder, language);
  const names = await inFolder(own, () => filesBelow(own, ""));
  const files = new Map<string, ClientFile>();
  for (const name of names) files.set(name, await readClientFile(own, name));
  for (const { name, bytes } of [...files.values()])
    if (MODULES.test(name)) await addModules(files, folder, bytes);
    else if (BUILDS.test(name)) await addFolders(files, folder, bytes);
  return [...files.values()].map(standingAlone);
}

async function filesBelow(folder: string, below: string): Promise<string[]> {
  const entries = await readdir(join(folder, below), { withFileTypes: true });
  const names = await Promise.all(
    entries.map(async (entry): Promise<string[]> => {
      const name = posix.join(below, entry.name);
      if (entry.isDirectory()) return BUILT.includes(entry.name) ? [] : await filesBelow(folder, name);
      return entry.isFile() ? [name] : [];
    }),
  );
  return names.flat().toSorted();
}

async function readClientFile(folder: string, name: string): Promise<ClientFile> {
  const path = join(folder, name);
  const isProgram = ((await stat(path)).mode & 0o111) !== 0;
  return { name, bytes: await readFile(path), isProgram };
}

/** Adds the modules of other clients that a file imports, and what those import beside them. */
async function addModules(
  files: Map<string, ClientFile>,
  folder: string,
  importer: Uint8Array,
): Promise<void> {
  const wanted = [...textOf(importer).matchAll(OTHERS)].map(([, , from = "", name = ""]) => ({ from, name }));
  for (let next = wanted.pop(); next; next = wanted.pop()) {
    const { from, name } = next;
    const file = await readClientFile(join(folder, from), name);
    const there = files.get(name);
    if (there && Buffer.compare(there.bytes, file.bytes) === 0) continue;
    if (there) throw new InternalError(`two modules of a client are called ${name}`);
    files.set(name, file);
    const beside = [...textOf(file.bytes).matchAll(NEIGHBOURS)];
    wanted.push(
      ...beside.map(([, neighbour = ""]) => ({ from, name: posix.join(posix.dirname(name), neighbour) })),
    );
  }
}

/** Adds the folders of another client that a build names, or all that it has where the client is named. */
async function addFolders(files: Map<string, ClientFile>, folder: string, build: Uint8Array): Promise<void> {
  for (const [, from = "", inside] of textOf(build).matchAll(OTHER_FOLDERS)) {
    const other = join(folder, from);
    for (const name of await inFolder(other, () => filesBelow(other, ""))) {
      const isWanted = inside === undefined ? name.includes("/") : name.startsWith(`${inside}/`);
      if (isWanted && !files.has(name)) files.set(name, await readClientFile(other, name));
    }
  }
}

/** The file without ways out of its folder. */
function standingAlone(file: ClientFile): ClientFile {
  if (file.name.endsWith(".md"))
    return { ...file, bytes: encoded(textOf(file.bytes).replace(LINKS_OUT, "$1")) };
  if (BUILDS.test(file.name)) {
    const alone = (_: string, _from: string, inside?: string) => (inside === undefined ? "." : `./${inside}`);
    return { ...file, bytes: encoded(textOf(file.bytes).replace(OTHER_FOLDERS, alone)) };
  }
  if (!MODULES.test(file.name)) return file;
  return { ...file, bytes: encoded(textOf(file.bytes).replace(OTHERS, "$1./$3$1")) };
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const encoded = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Of a page, without what stands in brackets behind it. */
function firstSentence(page: string): string {
  const [, paragraph = ""] = /^# .*\n+([\s\S]*?)(?:\n\n|$)/.exec(page) ?? [];
  const text = paragraph.replaceAll("\n", " ").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");
  return text.split(/(?<=\.) |:$/)[0] ?? "";
}

async function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, folder, "read the folder");
  }
}
