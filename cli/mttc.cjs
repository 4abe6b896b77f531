#!/usr/bin/env node
// The mttc command. CommonJS on purpose: libuv reads UV_THREADPOOL_SIZE when its pool starts, which an ES
// module is too late to set (image decoding uses that pool).
"use strict";
const os = require("node:os");
const pool = require("./poolSize.cjs").poolSize(process.env, os.availableParallelism(), os.cpus().length);
if (pool !== undefined) process.env.UV_THREADPOOL_SIZE = pool;
limitArenas();
const { build } = require("./build.cjs");
if (!build()) process.exitCode = 1;
else
  import("../dist/cli/main.js").catch((error) => {
    const limit = openFileLimit(error);
    if (limit === undefined) console.error(error);
    else
      console.error(
        `error: too many files are open for mttc to load itself: the limit is ${limit} [E_FILE]\n` +
          "  `ulimit -n 1024` in the shell that starts it allows more",
      );
    process.exitCode = limit === undefined ? 70 : 2;
  });

/**
 * The limit of open files where that is why the program cannot be loaded; undefined where it is not. Node's
 * loader opens all modules at once, and takes one that it could not open for missing.
 */
function openFileLimit(error) {
  const isRefused = ["EMFILE", "ENFILE", "ERR_MODULE_NOT_FOUND"].includes(error?.code);
  const soft = isRefused ? process.report.getReport().userLimits?.open_files?.soft : undefined;
  return error.code === "ERR_MODULE_NOT_FOUND" && !(soft < 512) ? undefined : soft;
}

/**
 * glibc gives each thread a heap of its own, and decoding images on many fragments them all: 441 MB after 20
 * epochs on 18 threads without a limit, 343 MB with this one. MALLOC_ARENA_MAX, where it is set, decides.
 */
function limitArenas() {
  const [M_ARENA_MAX, ARENAS] = [-8, 2];
  if (process.platform !== "linux" || process.env.MALLOC_ARENA_MAX !== undefined) return;
  let libc;
  try {
    libc = require("koffi").load("libc.so.6");
  } catch {
    // Another C library: it has no such heaps.
    return;
  }
  libc.func("int mallopt(int, int)")(M_ARENA_MAX, ARENAS);
}
