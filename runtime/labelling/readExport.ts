// A file or folder of any form that labelling tools write -> what it says of images. The form is known by the
// name's ending and the content.
import { readFile, stat } from "node:fs/promises";
import { extname } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { tableError } from "../tables/tableText.ts";
import { isCoco, readCoco } from "./coco.ts";
import { readCvat } from "./cvat.ts";
import { readFolderParts } from "./folderParts.ts";
import { type LabelExport, notAnExport } from "./labelExport.ts";
import {
  isLabelStudioJson,
  isLabelStudioTable,
  readLabelStudioJson,
  readLabelStudioTable,
} from "./labelStudio.ts";
import { type LongFormColumns, readLongForm } from "./longForm.ts";
import { findPathColumn, readTableRows } from "./tableRows.ts";

/** A whole JSON file is in memory at once. */
const MAX_JSON_BYTES = 512 * 2 ** 20;

export interface ExportOptions extends LongFormColumns {
  /** Column of image paths, of tables. */
  readonly filepaths?: string | undefined;
}

/**
 * Reads Label Studio's JSON, JSON-MIN and CSV, COCO's form, CVAT's XML of images, a table with several rows of
 * an image, or a folder of classes or of train/ and val/. E_FILE, E_CSV_*.
 */
export async function readExport(path: string, options: ExportOptions = {}): Promise<LabelExport> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) return await readFolderParts(path);
    const ending = extname(path).toLowerCase();
    if (ending === ".xml") return await readCvat(path);
    if (ending === ".json") {
      const json = await readJson(path, found.size);
      if (isLabelStudioJson(json)) return readLabelStudioJson(json, path);
      if (isCoco(json)) return readCoco(json, path);
      if (!Array.isArray(json))
        throw notAnExport(path, "JSON that is neither Label Studio's, COCO's nor a table");
    }
    const table = await readTableRows(path);
    const pathColumn = findPathColumn(table, path, options.filepaths);
    if (isLabelStudioTable(table.columns)) return readLabelStudioTable(table, pathColumn);
    return readLongForm(table, pathColumn, options);
  } catch (cause) {
    throw tableError(cause, path);
  }
}

/** The parsed file; undefined where it is JSON line by line, which the reader of tables takes. */
async function readJson(path: string, sizeBytes: number): Promise<unknown> {
  if (sizeBytes > MAX_JSON_BYTES)
    throw new MttcError({
      code: "E_CSV_SHAPE",
      message: `the file has ${sizeBytes} bytes, the limit is ${MAX_JSON_BYTES}`,
      at: { file: path },
    });
  const text = (await readFile(path, "utf8")).replace(/^\uFEFF/, "");
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    if (/^\s*\{[^\n]*\}\s*\n/.test(text)) return [];
    throw new MttcError(notAnExport(path, `no JSON: ${error.message}`).faults, { cause: error });
  }
}
