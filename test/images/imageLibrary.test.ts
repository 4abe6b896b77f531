// What the image library may read: five kinds of file from memory, whatever else its build can.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { BLOCKED_READERS, restrictImageLibrary } from "../../runtime/images/imageLibrary.ts";

/** Class names of all readers of the library that is installed. */
function installedReaders(): string[] {
  const scope = join(dirname(createRequire(import.meta.url).resolve("sharp")), "..", "..", "@img");
  const files = readdirSync(scope).flatMap((name) => {
    const folder = join(scope, name, "lib");
    if (!name.startsWith("sharp-libvips")) return [];
    return readdirSync(folder)
      .filter((file) => file.includes("vips-cpp"))
      .map((file) => join(folder, file));
  });
  const text = files.map((file) => readFileSync(file).toString("latin1")).join("\0");
  return [...new Set(text.match(/(?<=\0)VipsForeignLoad\w+(?=\0)/g))];
}

test("every reader of the installed library but five is blocked", () => {
  const readers = installedReaders();
  expect(readers.length).toBeGreaterThan(40);
  const isBlocked = (name: string) =>
    BLOCKED_READERS.some(
      (blocked) => name === blocked || name.replace(/(File|Buffer|Source)$/, "") === blocked,
    );
  const open = readers.filter((name) => !isBlocked(name));
  const kinds = ["Heif", "Jpeg", "Nsgif", "Png", "Webp"];
  // A kind's own class is the base of its three readers.
  const expected = kinds.flatMap((kind) => [`VipsForeignLoad${kind}`, `VipsForeignLoad${kind}Buffer`]);
  expect(open.sort()).toEqual(expected);
});

test("restricting it once more disturbs nothing that is being read", async () => {
  restrictImageLibrary();
  const png = await sharp({ create: { width: 9, height: 9, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  let isReading = true;
  const reading = Promise.all(
    Array.from({ length: 400 }, async () => (await sharp(png).raw().toBuffer()).length),
  ).finally(() => {
    isReading = false;
  });
  while (isReading) {
    for (let i = 0; i < 100; i += 1) restrictImageLibrary();
    await new Promise(setImmediate);
  }
  expect(new Set(await reading)).toEqual(new Set([243]));
});
