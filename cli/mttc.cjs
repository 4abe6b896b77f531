#!/usr/bin/env node
// The mttc command. CommonJS on purpose: libuv reads UV_THREADPOOL_SIZE when its pool starts, which an ES
// module is too late to set (image decoding uses that pool).
"use strict";
const os = require("node:os");
process.env.UV_THREADPOOL_SIZE ??= String(os.availableParallelism() + 2);
limitArenas();
const { build } = require("./build.cjs");
if (!build()) process.exitCode = 1;
else
  import("../dist/cli/main.js").catch((error) => {
    console.error(error);
    process.exitCode = 70;
  });

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
