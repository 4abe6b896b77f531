// Vectors and the rows that they are of, as files: Parquet with a column of lists, or NumPy's .npy with the
// rows as CSV beside it. Written as they come, under another name until they are finished; what is abandoned
// leaves nothing behind.
import { type FileHandle, open, rm } from "node:fs/promises";
import { basename, dirname, extname } from "node:path";
import { asyncBufferFromFile, parquetMetadataAsync, type SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { fileError, nodeFileSystem, systemCode } from "../files/fileSystem.ts";
import { removeLeftovers, siblingName } from "../files/leftovers.ts";
import { outputTarget } from "../files/outputTarget.ts";
import { inTheWay, readHead, refuseForeignFile, textMark } from "../files/ownOutput.ts";
import { npyBody, npyHead } from "../probes/npy.ts";
import { csvCell, csvName } from "../tables/csvText.ts";

/** Column of the vectors in a Parquet file. */
export const VECTOR_COLUMN = "vector";
/** Column of a row's number in the CSV beside a .npy file: first of all, so that the file is known by it. */
const ROW_COLUMN = "row";
/** Key of a Parquet file's metadata that says who wrote it. */
const PARQUET_KEY = "mttc";
const ENDINGS = [".parquet", ".npy"] as const;

/** Where vectors go. */
export interface VectorFile {
  /** The files that will stand. */
  readonly paths: readonly string[];
  /** Rows of texts, one per column, and their vectors, row-major [rows, width]. E_FILE, E_DISK. */
  write(rows: readonly (readonly string[])[], vectors: Float32Array): Promise<void>;
  /** Gives the files their names. */
  finish(): Promise<void>;
  /** Removes what was written. */
  abandon(): Promise<void>;
}

export interface VectorColumns {
  /** Names of the texts of a row; the first is the image's path. */
  readonly columns: readonly string[];
  /** Numbers of a vector. */
  readonly width: number;
  /** What the vectors are of, kept in the file. */
  readonly origin: Readonly<Record<string, string>>;
}

/** E_USAGE unless the name ends in .parquet or .npy. */
export function refuseVectorName(path: string): void {
  if (ENDINGS.some((ending) => extname(path).toLowerCase() === ending)) return;
  const message = "does not say what to write: expected a name that ends in .parquet or .npy";
  throw new MttcError({ code: "E_USAGE", message, at: { file: path } });
}

/** E_RUN_EXISTS where a file stands in the way that is no vectors by mttc, unless `overwrite`. */
export async function refuseForeignVectors(path: string, overwrite = false): Promise<void> {
  if (overwrite) return;
  if (extname(path).toLowerCase() === ".parquet") {
    if (!(await isOwnParquet(path)))
      await refuseForeignFile(path, { what: "vectors", isOurs: () => false }, overwrite);
    return;
  }
  // A label table of the user's may have the name of the rows beside: both files must be ours.
  const rows = rowsPath(path);
  const isOwn = (await isOwnNpy(path)) && (await startsOurRows(rows));
  for (const file of isOwn ? [] : [path, rows])
    await refuseForeignFile(file, { what: "vectors", isOurs: () => false }, overwrite);
}

/** Begins the file that a name asks for. E_FILE, E_DISK; so do its calls. */
export async function openVectorFile(path: string, columns: VectorColumns): Promise<VectorFile> {
  refuseVectorName(path);
  return extname(path).toLowerCase() === ".npy"
    ? await openNpy(path, columns)
    : await openParquet(path, columns);
}

function rowsPath(path: string): string {
  return `${path.slice(0, -extname(path).length)}.csv`;
}

async function isOwnParquet(path: string): Promise<boolean> {
  try {
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
    return metadata.key_value_metadata?.some(({ key }) => key === PARQUET_KEY) ?? false;
  } catch {
    // Not there, or no Parquet: the look at the file says which.
    return false;
  }
}

async function isOwnNpy(path: string): Promise<boolean> {
  const head = await headIfThere(path);
  const ours = Buffer.from(npyHead(0, 1));
  const magic = ours.subarray(0, ours.indexOf("{"));
  return head !== undefined && Buffer.compare(head.subarray(0, magic.length), magic) === 0;
}

async function startsOurRows(path: string): Promise<boolean> {
  const head = await headIfThere(path);
  return head !== undefined && textMark("rows", `${ROW_COLUMN},`).isOurs(head);
}

async function headIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readHead(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, path, "look at what is there");
  }
}

/** A file under a name of its own until it is finished. */
class GrowingFile {
  readonly path: string;
  readonly #target: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;

  private constructor(path: string, target: string, temporary: string, handle: FileHandle) {
    this.path = path;
    this.#target = target;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  static async begin(path: string): Promise<GrowingFile> {
    try {
      const target = await outputTarget(path, nodeFileSystem);
      if (target.kind !== "file") throw inTheWay(path, "is no regular file", "name a file");
      await nodeFileSystem.mkdir(dirname(target.path));
      await removeLeftovers(dirname(target.path), nodeFileSystem, basename(target.path));
      const temporary = siblingName(target.path, "tmp");
      const handle = await open(temporary, "wx");
      if (target.before) await nodeFileSystem.takeAttributes(temporary, target.before);
      return new GrowingFile(path, target.path, temporary, handle);
    } catch (error) {
      throw fileError(error, path, "write");
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.#guarded(() => this.#handle.appendFile(bytes));
  }

  /** Writes over the first bytes. */
  async rewrite(bytes: Uint8Array): Promise<void> {
    await this.#guarded(() => this.#handle.write(bytes, 0, bytes.length, 0));
  }

  async finish(): Promise<void> {
    await this.#guarded(async () => {
      await this.#handle.sync();
      await this.#handle.close();
      await nodeFileSystem.rename(this.#temporary, this.#target);
    });
  }

  async abandon(): Promise<void> {
    await this.#handle.close();
    await rm(this.#temporary, { force: true });
  }

  async #guarded(body: () => Promise<unknown>): Promise<void> {
    try {
      await body();
    } catch (error) {
      throw fileError(error, this.path, "write");
    }
  }
}

async function openNpy(path: string, { columns, width }: VectorColumns): Promise<VectorFile> {
  const [numbers, texts] = [await GrowingFile.begin(path), await GrowingFile.begin(rowsPath(path))];
  await numbers.append(npyHead(0, width));
  await texts.append(lineOf([ROW_COLUMN, ...columns].map(csvName)));
  let row = 0;
  return {
    paths: [numbers.path, texts.path],
    write: async (rows, vectors) => {
      await numbers.append(npyBody(vectors));
      const lines = rows.map((cells) => lineOf([String(row++), ...cells.map(csvCell)]));
      await texts.append(Buffer.concat(lines));
    },
    finish: async () => {
      await numbers.rewrite(npyHead(row, width));
      await texts.finish();
      await numbers.finish();
    },
    abandon: async () => {
      await numbers.abandon();
      await texts.abandon();
    },
  };
}

function lineOf(cells: readonly string[]): Uint8Array {
  return Buffer.from(`${cells.join(",")}\n`);
}

async function openParquet(path: string, { columns, width, origin }: VectorColumns): Promise<VectorFile> {
  const file = await GrowingFile.begin(path);
  const bytes = new ByteWriter();
  const kvMetadata = [{ key: PARQUET_KEY, value: JSON.stringify({ ...origin, width }) }];
  const writer = new ParquetWriter({ writer: bytes, schema: schemaOf(columns), kvMetadata });
  const flush = async (): Promise<void> => {
    await file.append(bytes.getBytes());
    bytes.index = 0;
  };
  const held: { rows: (readonly string[])[]; vectors: Float32Array[] } = { rows: [], vectors: [] };
  const group = async (): Promise<void> => {
    if (held.rows.length === 0) return;
    const texts = columns.map((name, i) => ({
      ...{ name, type: "STRING" as const },
      data: held.rows.map((cells) => (i > 0 && cells[i] === "" ? null : (cells[i] ?? ""))),
    }));
    const vectors = held.vectors.flatMap((batch) => rowsOf(batch, width));
    await writer.write({
      columnData: [...texts, { name: VECTOR_COLUMN, data: vectors }],
      rowGroupSize: held.rows.length,
    });
    held.rows = [];
    held.vectors = [];
    await flush();
  };
  return {
    paths: [file.path],
    write: async (rows, vectors) => {
      held.rows.push(...rows);
      held.vectors.push(vectors.slice());
      if (held.rows.length * width >= GROUP_NUMBERS) await group();
    },
    finish: async () => {
      await group();
      await writer.finish();
      await flush();
      await file.finish();
    },
    abandon: () => file.abandon(),
  };
}

/** Numbers of a row group: 4 MB of them, which the writer holds several times. */
const GROUP_NUMBERS = 2 ** 20;

/** The writer takes lists as arrays alone. */
function rowsOf(vectors: Float32Array, width: number): number[][] {
  if (vectors.length % width !== 0) throw new InternalError(`${vectors.length} numbers in rows of ${width}`);
  return Array.from({ length: vectors.length / width }, (_, row) =>
    Array.from(vectors.subarray(row * width, (row + 1) * width)),
  );
}

/** Texts, which may be null but for the path, and a list of floats. */
function schemaOf(columns: readonly string[]): SchemaElement[] {
  const texts = columns.map(
    (name, i): SchemaElement => ({
      ...{ name, type: "BYTE_ARRAY", converted_type: "UTF8" },
      repetition_type: i === 0 ? "REQUIRED" : "OPTIONAL",
    }),
  );
  return [
    { name: "root", num_children: columns.length + 1 },
    ...texts,
    { name: VECTOR_COLUMN, repetition_type: "REQUIRED", num_children: 1, converted_type: "LIST" },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    { name: "element", repetition_type: "REQUIRED", type: "FLOAT" },
  ];
}
