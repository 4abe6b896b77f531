// The methods that weigh gradients, in the order in which users find them listed: a line for each file.
import { aligned } from "./aligned.ts";
import { cagrad } from "./cagrad.ts";
import type { Combiner } from "./combiner.ts";
import { imtl } from "./imtl.ts";
import { mgda } from "./mgda.ts";
import { nash } from "./nash.ts";
import { pcgrad } from "./pcgrad.ts";
import { upgrad } from "./upgrad.ts";

export const GRADIENT_METHODS: readonly Combiner[] = [pcgrad, mgda, cagrad, upgrad, imtl, nash, aligned];
