// The downstream test of an epoch: a linear classifier for each column of the table, its figures, its
// confusion as a file and a picture, and the query sheet.

import { safeFileNames } from "../../compiler/export/exportGraphs.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { drawConfusion } from "./confusionSheet.ts";
import { linearProbe, type ProbeResult } from "./linearProbe.ts";
import type { ProbeColumn, ProbeLabels } from "./probeLabels.ts";
import type { ProbeResults } from "./probeResults.ts";
import { drawQuerySheet } from "./querySheet.ts";

export interface DownstreamProbe {
  readonly labels: ProbeLabels;
  /** Row-major [rows, width]. */
  readonly vectors: Float32Array;
  readonly spec: Spec;
  /** Images of the query sheet beside each query; 0: no sheet. */
  readonly nearest: number;
  readonly signal?: AbortSignal | undefined;
}

/** Adds figures, files and pictures to `results`. E_INTERRUPTED; errors of reading images. */
export async function probeDownstream(results: ProbeResults, probe: DownstreamProbe): Promise<void> {
  const { labels, vectors, spec, nearest, signal } = probe;
  const { columns, heldOut, rows } = labels;
  const { epoch } = results;
  const width = vectors.length / rows.paths.length;
  const fileNames = safeFileNames(columns.map(({ name }) => name));
  const entries: object[] = [];
  for (const [i, column] of columns.entries()) {
    const { name, classes, labels: own } = column;
    const found = await linearProbe({ vectors, width, labels: own, classes, heldOut }, signal);
    const { accuracy, macroRecall } = found.report;
    results.scalars[`probe/accuracy/${name}`] = accuracy;
    results.scalars[`probe/macro_recall/${name}`] = macroRecall;
    results.told.push(probeText(column, found, width));
    entries.push(probeEntry(column, found));
    const title = `${name}: linear probe after epoch ${epoch}`;
    results.draw(
      `confusion/${name}`,
      `confusion-${fileNames[i]}.png`,
      await drawConfusion(found.report, title),
    );
  }
  results.json("downstream.json", {
    ...{ epoch, table: labels.source, images: rows.paths.length, numbers: width, columns: entries },
  });
  const [column] = columns;
  if (nearest === 0 || !column) return;
  const title = `Nearest images by the fcn's features after epoch ${epoch}: ${column.name}`;
  const sheet = { spec, paths: rows.paths, vectors, width, column, nearest, title };
  results.draw("query", "query.png", await drawQuerySheet(sheet));
}

/** One column's part of the line that tells of a probe. */
function probeText({ name }: ProbeColumn, { report, isConverged }: ProbeResult, width: number): string {
  const { accuracy, majority } = report;
  const end = isConverged ? "" : " (not at its optimum)";
  const of = `${report.labelled} held out, ${width} features`;
  return `${name} ${accuracy.toFixed(3)}, always the commonest ${majority.toFixed(3)} (${of})${end}`;
}

/** What a file keeps of one column. */
export function probeEntry(
  { name, classes }: ProbeColumn,
  { report, trainedRows, isConverged }: ProbeResult,
) {
  const { labelled, accuracy, macroRecall, majority, majorityRecall, confusion, confusionPairs } = report;
  return {
    ...{ column: name, trainedRows, heldOutRows: labelled, accuracy, macroRecall, majority, majorityRecall },
    ...{ isConverged, classes },
    ...(confusion ? { confusion } : { confusionPairs }),
  };
}
