// The process in which foreign images are decoded for `mttc data check` and for packing: one file at a time, so that whoever
// watches it knows which file made it grow, hang or crash. In: requests over IPC; out: an Inspection each.
import { InternalError } from "../../compiler/diagnostics.ts";
import { restrictImageLibrary } from "../images/imageLibrary.ts";
import { inspectImage } from "./inspection.ts";
import type { InspectionRequest } from "./inspectionPool.ts";

if (process.send === undefined)
  throw new InternalError("runtime/checks/inspectionWorker is started by InspectionPool, as a child process");
restrictImageLibrary();
process.on("message", (request: InspectionRequest) => {
  // An error that is no fault of the image ends this process; its parent reports it.
  const { path, format, place, record } = request;
  void inspectImage(path, format, place, record).then((inspection) => process.send?.(inspection));
});
process.on("disconnect", () => process.exit());
process.send("ready");
