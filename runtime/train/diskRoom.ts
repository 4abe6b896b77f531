// Whether what a run would keep on the disk finds room there, and sizes in words for its messages.
import { statfs } from "node:fs/promises";

/** What `auto` decides on its own takes at most this share of the free disk. */
const DISK_SHARE = 0.5;

/** "1.20 GB of 2.00 GB that are free" where that is too much; undefined where `bytes` find room. */
export async function lackOfRoom(directory: string, bytes: number): Promise<string | undefined> {
  const { bavail, bsize } = await statfs(directory);
  const freeBytes = bavail * bsize;
  if (bytes <= DISK_SHARE * freeBytes) return undefined;
  return `${sizeText(bytes)} of ${sizeText(freeBytes)} that are free`;
}

/** 6.6 MB, 1.23 GB: in steps of 1000. */
export function sizeText(bytes: number): string {
  return bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
