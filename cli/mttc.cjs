#!/usr/bin/env node
// The mttc command. CommonJS on purpose: libuv reads UV_THREADPOOL_SIZE when its pool starts, which an ES
// module is too late to set (image decoding uses that pool).
"use strict";
const os = require("node:os");
process.env.UV_THREADPOOL_SIZE ??= String(os.availableParallelism() + 2);
const { build } = require("./build.cjs");
if (!build()) process.exitCode = 1;
else
  import("../dist/cli/main.js").catch((error) => {
    console.error(error);
    process.exitCode = 70;
  });
