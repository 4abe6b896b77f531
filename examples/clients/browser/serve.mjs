#!/usr/bin/env node
// A small server of static files for the page, on this machine alone:
//
//     node serve.mjs [--port 8080] [--files FOLDER]
//
// It serves this folder; below /ort/ what onnxruntime-web's package has for browsers; and below /files/ the
// FOLDER, so that the page can load a model by address (?model=/files/model.onnx). Its headers allow
// threads.
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const TYPES = new Map([
  [".html", "text/html; charset=utf-8"],
  [".js", "text/javascript; charset=utf-8"],
  [".mjs", "text/javascript; charset=utf-8"],
  [".css", "text/css; charset=utf-8"],
  [".json", "application/json"],
  [".wasm", "application/wasm"],
  [".png", "image/png"],
  [".jpg", "image/jpeg"],
  [".svg", "image/svg+xml"],
]);
/** With these a page may share memory between threads, and so compute on several. */
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/**
 * Starts the server on 127.0.0.1.
 * @param {{ port?: number, files?: string }} [options] port 0: any that is free
 * @returns {Promise<{ address: string, close: () => void }>}
 */
export async function serve({ port = 0, files } = {}) {
  const roots = [
    { prefix: "/ort/", folder: runtimeFolder() },
    ...(files === undefined ? [] : [{ prefix: "/files/", folder: path.resolve(files) }]),
    { prefix: "/", folder: HERE },
  ];
  const server = createServer((request, response) => {
    answer(roots, request, response).catch((error) => {
      response.destroy(error);
    });
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(undefined));
  });
  const at = /** @type {import("node:net").AddressInfo} */ (server.address());
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { address: `http://127.0.0.1:${at.port}/`, close };
}

/** Tells what the page could only tell when a model is opened. */
async function checkRuntime() {
  const folder = runtimeFolder();
  if (!(await stat(path.join(folder, "ort.wasm.min.mjs")).catch(() => undefined)))
    throw new Error("onnxruntime-web is not installed here: npm install brings it");
}

/** onnxruntime-web's files: of its package, or in a folder `ort` beside this file. */
function runtimeFolder() {
  try {
    return path.dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  } catch {
    return path.join(HERE, "ort");
  }
}

/**
 * @param {readonly { prefix: string, folder: string }[]} roots
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 */
async function answer(roots, request, response) {
  const found = await fileFor(roots, request.url ?? "/");
  const isRead = request.method === "GET" || request.method === "HEAD";
  if (!found || !isRead) {
    response.writeHead(isRead ? 404 : 405, { ...ISOLATION, "Content-Type": "text/plain" });
    response.end(isRead ? "there is no such file\n" : "files are only read here\n");
    return;
  }
  const type = TYPES.get(path.extname(found.file)) ?? "application/octet-stream";
  response.writeHead(200, {
    ...ISOLATION,
    ...{ "Content-Type": type, "Content-Length": found.size, "Cache-Control": "no-cache" },
  });
  if (request.method === "HEAD") response.end();
  else
    createReadStream(found.file)
      .on("error", (error) => response.destroy(error))
      .pipe(response);
}

/**
 * The file for an address; undefined where there is none, or it lies outside its folder.
 * @param {readonly { prefix: string, folder: string }[]} roots
 * @param {string} url
 */
async function fileFor(roots, url) {
  try {
    const asked = decodeURIComponent(new URL(url, "http://localhost").pathname);
    const root = roots.find(({ prefix }) => asked.startsWith(prefix));
    if (!root) return undefined;
    const inside = asked.slice(root.prefix.length) || "index.html";
    const [file, folder] = await Promise.all([
      realpath(path.join(root.folder, inside)),
      realpath(root.folder),
    ]);
    const facts = await stat(file);
    return file.startsWith(folder + path.sep) && facts.isFile() ? { file, size: facts.size } : undefined;
  } catch {
    // No such file, or an address that is none.
    return undefined;
  }
}

async function main() {
  const options = /** @type {const} */ ({
    port: { type: "string", default: "8080" },
    files: { type: "string" },
  });
  const { values } = parseArgs({ options });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`--port ${values.port} is no port`);
  await checkRuntime();
  const { address } = await serve({ port, ...(values.files === undefined ? {} : { files: values.files }) });
  console.log(`${address} shows the page; Ctrl-C ends it`);
  if (values.files !== undefined)
    console.log(`${address}?model=/files/NAME.onnx loads a model of ${values.files}`);
}

if (process.argv[1] && (await realpath(process.argv[1])) === fileURLToPath(import.meta.url))
  await main().catch((error) => {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 2;
  });
