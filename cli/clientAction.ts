// What `mttc client` does: lists the clients, or writes one into a folder, never over what is not of ours.
import { chmod, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { MttcError } from "../compiler/diagnostics.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { describeContent } from "../runtime/files/fileContent.ts";
import { fileError, systemCode } from "../runtime/files/fileSystem.ts";
import { parseJson } from "../runtime/files/jsonText.ts";
import { inTheWay } from "../runtime/files/ownOutput.ts";
import { CLIENTS_FOLDER, type ClientFile, clientFiles, clientsOf } from "./clientFiles.ts";
import { shownPath } from "./pathText.ts";
import { renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Says which files of a folder were written by `mttc client`, by their hashes. */
const LIST_FILE = "mttc-client.json";
const LIST_FORMAT = "mttc-client";
const PAGE = "README.md";
const PROGRAM_MODE = 0o755;

const listSchema = z.object({ format: z.literal(LIST_FORMAT), files: z.record(z.string(), z.string()) });

/** Options of the command. */
export interface ClientFlags {
  readonly output?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** Lists the clients there are. */
export async function listClients({ json, output }: ClientFlags, terminal: Terminal): Promise<void> {
  if (output !== undefined)
    throw new MttcError({ code: "E_USAGE", message: "-o says where a client goes, but not which one" });
  const clients = await clientsOf(fileURLToPath(CLIENTS_FOLDER));
  if (json) return terminal.out(JSON.stringify(clients, null, 2));
  const rows = clients.map(({ language, about }) => [language, about]);
  terminal.out(renderTable(terminal, ["client", "what it does"], rows, []));
  terminal.out("mttc client LANGUAGE -o DIR writes one");
}

/**
 * Writes the client's files, all that is in the way being looked at before. E_USAGE for a language without
 * a client; E_RUN_EXISTS where a file of one's own, or one that was changed since, would be replaced, unless
 * `overwrite`.
 */
export async function writeClient(language: string, flags: ClientFlags, terminal: Terminal): Promise<void> {
  const files = await clientFiles(fileURLToPath(CLIENTS_FOLDER), language);
  const directory = resolve(flags.output ?? `mttc-${language}`);
  const hashes = new Map<string, string>();
  for (const { name, bytes } of files) hashes.set(name, await hashOf(bytes));
  if (!flags.overwrite) await refuseForeign(directory, hashes);
  for (const file of files) await writeClientFile(directory, file);
  // Last: what an earlier call wrote is known as ours until all is replaced.
  const list = { format: LIST_FORMAT, language, files: Object.fromEntries(hashes) };
  await writeFileAtomically(join(directory, LIST_FILE), `${JSON.stringify(list, null, 2)}\n`);
  const names = files.map(({ name }) => name);
  if (flags.json) return terminal.out(JSON.stringify({ language, directory, files: names }, null, 2));
  terminal.out(`Wrote ${names.length} files to ${shownPath(directory)}: ${listed(names)}`);
  const steps = [`cd ${shownPath(directory)}`, ...firstCommands(files.find(({ name }) => name === PAGE))];
  terminal.out([`Next (${PAGE} there says more):`, ...steps.map((step) => `  ${step}`)].join("\n"));
}

const MOST_NAMED = 6;

function listed(names: readonly string[]): string {
  return `${names.slice(0, MOST_NAMED).join(", ")}${names.length > MOST_NAMED ? ", ..." : ""}`;
}

async function writeClientFile(directory: string, { name, bytes, isProgram }: ClientFile): Promise<void> {
  const path = join(directory, name);
  await writeFileAtomically(path, bytes);
  try {
    if (isProgram) await chmod(path, PROGRAM_MODE);
  } catch (error) {
    throw fileError(error, path, "make it a program");
  }
}

/** Refuses where a file stands that is neither what is written now nor what an earlier call wrote. */
async function refuseForeign(directory: string, hashes: ReadonlyMap<string, string>): Promise<void> {
  const earlier = await earlierHashes(join(directory, LIST_FILE));
  const foreign: string[] = [];
  for (const [name, hash] of hashes) {
    const found = await bytesAt(join(directory, name));
    if (found === undefined || found.length === 0) continue;
    const there = await hashOf(found);
    if (there !== hash && there !== earlier[name]) foreign.push(name);
  }
  if (foreign.length === 0) return;
  const message = `the folder holds files that mttc did not write, or that were changed since: ${listed(foreign)}`;
  throw inTheWay(directory, message, "choose another folder with -o, or replace them with --overwrite");
}

/** What an earlier call wrote, by name; E_RUN_EXISTS where the list's name is taken by something else. */
async function earlierHashes(path: string): Promise<Readonly<Record<string, string>>> {
  const bytes = await bytesAt(path);
  if (bytes === undefined) return {};
  const list = listSchema.safeParse(parseJson(bytes.toString("utf8"))).data;
  if (list) return list.files;
  throw inTheWay(path, "exists already, and is not of mttc client");
}

/** What a file holds; undefined where there is none. */
async function bytesAt(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, path, "look at it");
  }
}

async function hashOf(bytes: Uint8Array): Promise<string> {
  return (await describeContent(bytes)).sha256;
}

/** The first commands that a client's page gives. */
function firstCommands(page: ClientFile | undefined): string[] {
  const text = new TextDecoder().decode(page?.bytes);
  const [, block = ""] = /```(?:sh|bash)\n([\s\S]*?)```/.exec(text) ?? [];
  return block.trimEnd().split("\n");
}
