// What rank 0 and its followers say to each other on the connection of messages.
import type { PackedError } from "../threads/faultTransfer.ts";

/** How a run ends for all of its ranks. */
export type RankEnd =
  | { readonly kind: "done" }
  | { readonly kind: "interrupted" }
  | { readonly kind: "failed"; readonly error: unknown };

/** From rank 0. `call` numbers what is sent; a reply is wanted of requests. */
export type HubMessage =
  | { readonly kind: "call"; readonly call: number; readonly wantsReply: boolean; readonly message: unknown }
  /** Another rank failed: what waits for it in a collective must end. */
  | { readonly kind: "abort" }
  | { readonly kind: "end"; readonly end: PackedEnd };

/** From a follower. */
export type LinkMessage =
  | { readonly kind: "here"; readonly host: string }
  | { readonly kind: "reply"; readonly call: number; readonly value: unknown }
  | { readonly kind: "fault"; readonly error: PackedError };

/** RankEnd as it travels. */
export type PackedEnd =
  | { readonly kind: "done" | "interrupted" }
  | { readonly kind: "failed"; readonly error: PackedError };

/** How a channel behaves where something is slow or gone; milliseconds. */
export interface ChannelOptions {
  /** For all ranks to come together. */
  readonly acceptMs: number;
  /** For a run that ends, until what is left of it is ended. */
  readonly endMs: number;
  /** Port that rank 0 listens at; 0 takes a free one. */
  readonly port: number;
}

export const CHANNEL_DEFAULTS: ChannelOptions = { acceptMs: 120_000, endMs: 8000, port: 0 };

/** For one that connects to prove who it is. */
export const HANDSHAKE_MS = 10_000;
