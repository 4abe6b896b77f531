// What `mttc embed` does: images -> vectors -> a file, as they come.
import { resolve } from "node:path";
import { type Fault, MttcError } from "../compiler/diagnostics.ts";
import type { FeaturePooling } from "../compiler/export/exportFeatures.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { embedImages } from "../runtime/export/embed.ts";
import type { ImageFault, ImageInput } from "../runtime/export/predictor.ts";
import {
  openVectorFile,
  refuseForeignVectors,
  refuseVectorName,
  VECTOR_COLUMN,
  type VectorFile,
} from "../runtime/export/vectorFiles.ts";
import { OrtHost } from "../runtime/ort/ortHost.ts";
import { ortOptions } from "../runtime/ort/runtimeOptions.ts";
import { FeatureModel } from "../runtime/probes/featureModel.ts";
import { readLabelTable } from "../runtime/tables/labelFiles.ts";
import { NO_NAME } from "../runtime/tables/labelTable.ts";
import { surveyTable } from "../runtime/tables/tableSurvey.ts";
import { imageArguments } from "./imageArguments.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { readTableFacts } from "./labelColumns.ts";
import { shownPath } from "./pathText.ts";
import { predictProgress } from "./predictProgress.ts";
import { runtimeOptions } from "./runtimeOptions.ts";
import { isTableName } from "./specFile.ts";
import { bytes, count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";
import { openTrunk, type TrunkFlags } from "./trunkArgument.ts";

/** Options of the command. */
export interface EmbedFlags extends TrunkFlags {
  readonly output: string;
  readonly pool: FeaturePooling;
  readonly filepaths?: string;
  readonly strict?: boolean;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** Writes the vectors of the images that `args` name, by `given`, a model. */
export async function embed(
  given: string,
  args: readonly string[],
  flags: EmbedFlags,
  terminal: Terminal,
): Promise<void> {
  const output = resolve(flags.output);
  refuseVectorName(output);
  await refuseForeignVectors(output, flags.overwrite);
  const { images, columns, rowOf, notes } = await rowsToEmbed(args, flags.filepaths);
  const trunk = await openTrunk(given, flags);
  await using host = await OrtHost.start(ortOptions(runtimeOptions(flags), false));
  await using model = await FeatureModel.open(host, trunk.source, {
    layer: trunk.layer,
    pooling: flags.pool,
  });
  for (const note of [...notes, ...trunk.notes, ...(host.note === undefined ? [] : [host.note])])
    terminal.note(visibleText(note));
  const origin = { model: trunk.what, layer: trunk.layer, pool: flags.pool };
  const file = await openVectorFile(output, { columns, width: model.width, origin });
  const faults: ImageFault[] = [];
  const written = await writeAll({ model, images, rowOf, file, faults, strict: flags.strict }, terminal);
  const places = file.paths.map(shownPath).join(" and ");
  if (flags.json) {
    const facts = { files: file.paths, rows: written, numbers: model.width, columns, ...origin };
    terminal.out(JSON.stringify({ ...facts, unread: faults.map(({ file: name }) => name) }, null, 2));
  } else {
    const size = bytes(written * model.width * Float32Array.BYTES_PER_ELEMENT);
    terminal.out(`${trunk.what}`);
    terminal.out(
      `${count(written)} vectors of ${count(model.width)} numbers (${size}), written to ${places}`,
    );
  }
  if (faults.length > 0) throw faultsError(faults, images.length);
}

const USUAL_COLUMN = "filepath";

/** The column of image paths of a table, which nobody has named. */
async function pathColumnOf(table: string): Promise<string | undefined> {
  return (await readTableFacts(table, undefined, false)).pathColumn;
}

/** What is embedded: images, the columns of their rows, and each row. */
interface EmbeddedRows {
  readonly images: readonly ImageInput[];
  readonly columns: readonly string[];
  readonly rowOf: (place: number) => readonly string[];
  readonly notes: readonly string[];
}

/** Of one label table its labels, too, as they stand in it. E_FILE, E_CSV_*, E_USAGE. */
async function rowsToEmbed(args: readonly string[], named: string | undefined): Promise<EmbeddedRows> {
  const table = args.find(isTableName);
  const filepaths = named ?? (table === undefined ? undefined : await pathColumnOf(table)) ?? USUAL_COLUMN;
  const { images, notes } = await imageArguments(args, filepaths);
  const nameOf = (place: number): string => images[place]?.name ?? "";
  if (args.length > 1 || table === undefined)
    return { images, notes, columns: [filepaths], rowOf: (place) => [nameOf(place)] };
  const { columns } = await surveyTable(table);
  const names = columns.map(({ name }) => name).filter((name) => name !== filepaths && name !== "");
  if (names.includes(VECTOR_COLUMN))
    throw new MttcError({
      code: "E_USAGE",
      message: `the table has a column "${VECTOR_COLUMN}" of its own, which the vectors would have`,
      at: { file: table },
      hint: "rename it",
    });
  const read = await readLabelTable(resolve(table), {
    ...{ filepaths, tasks: names, measured: names, lists: names },
  });
  return {
    ...{ images, notes: [...notes, ...read.notes], columns: [filepaths, ...names] },
    rowOf: (row) => [
      nameOf(row),
      ...read.columns.map(({ names: labels, codes }) => {
        const code = codes[row] ?? NO_NAME;
        return code === NO_NAME ? "" : (labels[code] ?? "");
      }),
    ],
  };
}

interface Embedding {
  readonly model: FeatureModel;
  readonly images: readonly ImageInput[];
  readonly rowOf: EmbeddedRows["rowOf"];
  readonly file: VectorFile;
  /** Takes the images that cannot be read, unless all or nothing was asked for. */
  readonly faults: ImageFault[];
  readonly strict: boolean | undefined;
}

/** Returns how many rows were written; nothing is where an error is thrown. */
async function writeAll(work: Embedding, terminal: Terminal): Promise<number> {
  const { model, images, rowOf, file, faults, strict } = work;
  const progress = predictProgress(images.length, false, terminal);
  const { signal, stop } = interruptSignal(terminal, "stopping; nothing is written");
  const take = strict ? {} : { onFault: (fault: ImageFault) => void faults.push(fault) };
  let written = 0;
  try {
    for await (const { places, vectors } of embedImages(model, images, { ...take, signal })) {
      await file.write(places.map(rowOf), vectors);
      written += places.length;
      progress.update(written + faults.length);
    }
    if (written === 0) throw faultsError(faults, images.length);
    await file.finish();
  } catch (error) {
    progress.stop();
    await file.abandon();
    throw error;
  } finally {
    progress.stop();
    stop();
  }
  return written;
}

function faultsError(faults: readonly ImageFault[], total: number): MttcError {
  const listed: Fault[] = faults.flatMap(({ error }) => error.faults);
  const [first] = listed;
  const message = `${count(faults.length)} of ${count(total)} images could not be read: they have no vectors`;
  const hint = "--strict writes nothing unless all can be read";
  return new MttcError([...listed, { code: first?.code ?? "E_FILE", message, hint }]);
}
