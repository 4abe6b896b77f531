// @ts-check
// Files and folders that are dropped on a page, folders with all that is in them.

/** @typedef {import("./photos.js").ChosenFile} ChosenFile */

/** @param {DataTransfer} transfer @returns {Promise<ChosenFile[]>} */
export async function droppedFiles(transfer) {
  // The list is empty once the event is over: entries are taken first.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.());
  const plain = [...transfer.files].map((file) => ({ path: file.name, file }));
  if (entries.every((entry) => !entry)) return plain;
  const files = await Promise.all(entries.map((entry) => (entry ? filesOf(entry) : [])));
  return files.flat();
}

/** @param {FileSystemEntry} entry @returns {Promise<ChosenFile[]>} */
async function filesOf(entry) {
  if (entry.isFile) {
    const own = /** @type {FileSystemFileEntry} */ (entry);
    /** @type {File} */
    const file = await new Promise((resolve, reject) => own.file(resolve, reject));
    return [{ path: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const files = [];
  // A reader gives some at a time, and none at the end.
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return files;
    for (const each of some) files.push(...(await filesOf(each)));
  }
}
