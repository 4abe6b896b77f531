// The clients of examples/clients/, one a language.
import { browserClient } from "./browserClient.ts";
import { cClient } from "./cClient.ts";
import type { Client } from "./client.ts";
import { cppClient } from "./cppClient.ts";
import { goClient } from "./goClient.ts";
import { javaClient } from "./javaClient.ts";
import { nodeClient } from "./nodeClient.ts";
import { pythonClient } from "./pythonClient.ts";
import { rustClient } from "./rustClient.ts";

export const CLIENTS: readonly Client[] = [
  nodeClient,
  pythonClient,
  javaClient,
  cClient,
  cppClient,
  goClient,
  rustClient,
  browserClient,
];
