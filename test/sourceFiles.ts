// The project's sources as architecture.test.ts sees them: paths relative to the repository, text, imports.
// Parsed by regular expressions, which is enough because Biome keeps the sources in one form.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

export interface SourceFile {
  /** Relative to the repository, with "/". */
  readonly path: string;
  readonly text: string;
  /** Text without comments, and with every string empty. */
  readonly code: string;
  readonly lines: readonly string[];
  /** What is imported or re-exported; files are named like `path`. */
  readonly imports: readonly string[];
  /** Those of `imports` of which something is left at run time. */
  readonly valueImports: readonly string[];
}

const FROM = /(?:^|\n)(import|export)( type)?\s([^;"']*?)\s?from\s+"([^"]+)"/g;
const BARE = /(?:^|\n)import\s+"([^"]+)"|\bimport\("([^"]+)"\)/g;
// Quotes are written as escapes, so that these lines do not mislead what they define.
const QUOTED = /\x22(?:\\.|[^\x22\\\n])*\x22|\x27(?:\\.|[^\x27\\\n])*\x27/;
const TEMPLATE = /\x60(?:\\.|[^\x60\\])*\x60/;
const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//;
const STRING_OR_COMMENT = new RegExp(`(${QUOTED.source}|${TEMPLATE.source})|${COMMENT.source}`, "g");
/** A template may go on in the next line. */
const STRING_OF_LINE = new RegExp(`${QUOTED.source}|${TEMPLATE.source}?`, "g");

/** A line with its strings emptied: what is left is what could have been broken. */
export function withoutStrings(line: string): string {
  return line.replace(STRING_OF_LINE, '""');
}

/**
 * All .ts files below the folders, in the order of their paths; test/bench/baseline is a committed prototype.
 */
export function readSources(root: string, folders: readonly string[]): SourceFile[] {
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) =>
        join(folder, name),
      ),
    )
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts") && !path.startsWith("test/bench/baseline/"))
    .sort()
    .map((path) => parseSource(path, readFileSync(join(root, path), "utf8")));
}

/** One source from its text. */
export function parseSource(path: string, text: string): SourceFile {
  const code = text.replace(STRING_OR_COMMENT, (_, quoted: string | undefined) =>
    quoted === undefined ? "" : '""',
  );
  const place = (target: string): string =>
    target.startsWith(".") ? normalize(join(dirname(path), target)).replaceAll("\\", "/") : target;
  const types: string[] = [];
  const values = [...text.matchAll(BARE)].map(([, bare, dynamic]) => place(bare ?? dynamic ?? ""));
  for (const [, , type, names = "", from = ""] of text.matchAll(FROM)) {
    const parts = /^\{([\s\S]*)\}$/.exec(names.trim())?.[1]?.split(",");
    const isErased = parts?.every((part) => part.trim() === "" || part.trim().startsWith("type "));
    (type !== undefined || isErased ? types : values).push(place(from));
  }
  return { path, text, code, lines: text.split("\n"), imports: [...values, ...types], valueImports: values };
}

/**
 * A cycle of imports as a list of paths, the first of them again at its end; undefined if there is none.
 * Types of one folder may refer to each other across its files (a node names its operator, an operator's
 * rules name nodes).
 */
export function findCycle(sources: readonly SourceFile[]): string[] | undefined {
  const known = new Set(sources.map(({ path }) => path));
  const edges = new Map(
    sources.map(({ path, imports, valueImports }) => {
      const counts = (target: string): boolean =>
        known.has(target) && (valueImports.includes(target) || dirname(target) !== dirname(path));
      return [path, imports.filter(counts)];
    }),
  );
  const finished = new Set<string>();
  for (const start of known) {
    const path: string[] = [];
    const pending = [{ file: start, isLeft: false }];
    for (let next = pending.pop(); next; next = pending.pop()) {
      if (next.isLeft) finished.add(path.pop() ?? "");
      else if (path.includes(next.file)) return [...path.slice(path.indexOf(next.file)), next.file];
      else if (!finished.has(next.file)) {
        path.push(next.file);
        const targets = (edges.get(next.file) ?? []).map((file) => ({ file, isLeft: false }));
        pending.push({ file: next.file, isLeft: true }, ...targets);
      }
    }
  }
  return undefined;
}
