// What rank 0 and its followers say to each other on the connection of messages.
import type { PackedError } from "../threads/faultTransfer.ts";
import type { HeartbeatTimes } from "./heartbeatProtocol.ts";

/** How a run ends for all of its ranks. */
export type RankEnd =
  | { readonly kind: "done" }
  | { readonly kind: "interrupted" }
  | { readonly kind: "failed"; readonly error: unknown };

/** From rank 0. `call` numbers what is sent; a reply is wanted of requests. */
export type HubMessage =
  | { readonly kind: "call"; readonly call: number; readonly wantsReply: boolean; readonly message: unknown }
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
export interface ChannelOptions extends HeartbeatTimes {
  /** For all ranks to come together. */
  readonly acceptMs: number;
  /** Port that rank 0 listens at for messages; 0 takes a free one. */
  readonly port: number;
  /** Address that rank 0 listens at; undefined: all that its machine has. */
  readonly host?: string | undefined;
}

/** Where ranks of one host meet: nobody else can come there. */
export const LOOPBACK = "127.0.0.1";

/** A lost rank is noticed within 15 s, and all of its job has ended within 30. */
export const CHANNEL_DEFAULTS: ChannelOptions = {
  acceptMs: 120_000,
  port: 0,
  heartbeatMs: 1000,
  limitMs: 14_000,
  endMs: 4000,
  stallMs: 14_000,
  lateMs: 30_000,
  giveUpMs: 600_000,
};

/** For one that connects to prove who it is. */
export const HANDSHAKE_MS = 10_000;
