// The page of a run, `mttc report`: its name in the run's folder, and how one of ours is known.
//   <logdir>/report.html
import { type FileMark, textMark } from "../files/ownOutput.ts";

export const REPORT_FILE = "report.html";
/** How a page begins. */
export const REPORT_HEAD = "<!doctype html>\n<!-- a report by mttc -->\n";
export const REPORT_MARK: FileMark = textMark("a report", REPORT_HEAD);
