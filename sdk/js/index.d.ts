/**
 * Types of neofn functions: the context, its services, events and responses, and the globals of the sandbox.
 *
 * There is nothing to run here: import types only, `import type { Context } from "neofn"`.
 */

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What can be stored or passed on as JSON: not undefined, a function, a symbol or a bigint. */
export type Storable<T> = T extends undefined | symbol | bigint | ((...args: never[]) => unknown) ? never : T;

/**
 * A function as neofn calls it: export it as `handler`, or as the default.
 *
 * ```ts
 * export const handler: Handler<{ name: string }> = async (event, ctx) => ({ greeting: `Hello, ${event.name}` });
 * ```
 */
export type Handler<Event = Json, Result = unknown> = (event: Event, ctx: Context) => Result | Promise<Result>;

/** What a run knows of itself, and the services that it may use. */
export interface Context {
  /** Name of the function. */
  readonly functionName: string;
  /** Its project. */
  readonly projectId: string;
  /** Id of this invocation, a UUID. The same in every attempt. */
  readonly invocationId: string;
  /** When this run began, ISO 8601 in UTC. */
  readonly timestamp: string;
  /** The version that runs, from 1. */
  readonly version: number;
  /** The how-manyeth try of the invocation, from 1. */
  readonly attempt: number;
  /** When this run is stopped at the latest, ISO 8601 in UTC. */
  readonly deadline: string;
  /** The project's key-value store. Needs `allow = { kv = true }`. */
  readonly kv: Kv;
  /** Hashes, signatures and encodings, computed by the host at a fixed price. */
  readonly crypto: HostCrypto;
  /**
   * Calls another function of the project and waits for its result. Its units are charged to this run;
   * calls may be 8 deep. Rejects with a {@link HostError} when the other function fails.
   */
  invoke<Result = Json>(name: string, event?: unknown): Promise<Result>;
}

/** What a key holds. */
export interface KvEntry<T = Json> {
  readonly key: string;
  readonly value: T;
  /** Grows with every write of the key; for compare-and-set. Null for what this very run wrote: it has none before its commit. */
  readonly revision: number | null;
}

/**
 * The project's key-value store. Reads see what this run wrote. All writes of a run are committed together with
 * its result, or not at all.
 */
export interface Kv {
  /** The value of a key, or null. */
  get<T = Json>(key: string): Promise<T | null>;
  /** The value of a key with its revision, or null. */
  getWithRevision<T = Json>(key: string): Promise<{ value: T; revision: number | null } | null>;
  /** Writes a value of at most 256 KiB of JSON. */
  put<T>(key: string, value: Storable<T>, options?: KvPutOptions): Promise<void>;
  /** Deletes a key; answers whether there was one. */
  delete(key: string, options?: { ifRevision?: number }): Promise<boolean>;
  /** The keys that begin with `prefix`, in order; `cursor` goes on where a page ended. */
  list<T = Json>(options?: { prefix?: string; cursor?: string; limit?: number }): Promise<{
    entries: KvEntry<T>[];
    cursor: string | null;
  }>;
  /** Adds to a counter, which begins at 0, and answers the sum. Never conflicts with other runs. */
  increment(key: string, by?: number): Promise<number>;
}

/** How to write. */
export interface KvPutOptions {
  /** Write only if the key still has this revision; null: only if there is no such key. */
  ifRevision?: number | null;
  /** Forget the key after so many milliseconds. */
  ttlMs?: number;
}

/** Text (as UTF-8) or bytes. */
export type Bytes = string | ArrayBuffer | ArrayBufferView;

/** A digest as lower-case hex (the default), as base64, or as bytes. */
export interface Digest {
  (data: Bytes, form?: "hex" | "base64"): string;
  (data: Bytes, form: "bytes"): Uint8Array;
}

/** Hashes, signatures and encodings. */
export interface HostCrypto {
  readonly sha256: Digest;
  readonly sha512: Digest;
  readonly keccak256: Digest;
  readonly ripemd160: Digest;
  /** RIPEMD-160 of SHA-256: a Neo script hash. */
  readonly hash160: Digest;
  /** SHA-256 twice. */
  readonly hash256: Digest;
  hmacSha256(key: Bytes, data: Bytes, form?: "hex" | "base64"): string;
  hmacSha256(key: Bytes, data: Bytes, form: "bytes"): Uint8Array;
  /**
   * Checks an ECDSA signature on the curve of Neo. The public key has 33 or 65 bytes, the signature 64 (r and s);
   * both as bytes or hex. The message is what was signed, before hashing.
   */
  verifySecp256r1(publicKey: Bytes, signature: Bytes, message: Bytes): boolean;
  /** At most 128 bytes: base58 takes quadratic time. */
  base58Encode(data: Bytes): string;
  /** At most 200 characters. */
  base58Decode(text: string): Uint8Array;
  /** With a checksum: addresses and WIF. At most 128 bytes. */
  base58CheckEncode(data: Bytes): string;
  /** At most 200 characters. */
  base58CheckDecode(text: string): Uint8Array;
  base64Encode(data: Bytes): string;
  base64Decode(text: string): Uint8Array;
  hexEncode(data: Bytes): string;
  hexDecode(text: string): Uint8Array;
  /** At most 65 536 random bytes. Recorded, so that a replay sees the same. */
  randomBytes(count: number): Uint8Array;
  randomUUID(): string;
}

/** What a service call rejects with. */
export interface HostError extends Error {
  readonly name: "HostError";
  /** A code of the catalogue: `neofn explain NF0501`. */
  readonly code: string;
}

/** The event of a function that is called at `/f/PROJECT/FUNCTION/…`. */
export interface HttpEvent {
  readonly method: string;
  /** Below the function's own path, beginning with `/`. */
  readonly path: string;
  /** A name that comes more than once has its values joined by commas. */
  readonly query: { readonly [name: string]: string };
  /** Names in lower case. */
  readonly headers: { readonly [name: string]: string };
  /** Text, or base64 when `isBase64Encoded`. */
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

/** The answer of a function that is called at `/f/PROJECT/FUNCTION/…`. */
export interface HttpResponse {
  /** 200 to 599; 200 when absent. */
  statusCode?: number;
  headers?: { [name: string]: string | number | boolean | string[] };
  /** Text, or base64 with `isBase64Encoded`. */
  body?: string;
  isBase64Encoded?: boolean;
}

/** An event as triggers deliver it: a CloudEvent 1.0. */
export interface CloudEvent<Data = Json, Type extends string = string> {
  readonly specversion: "1.0";
  /** Unique together with `source`. */
  readonly id: string;
  readonly source: string;
  readonly type: Type;
  readonly subject?: string;
  /** When it happened, RFC 3339. */
  readonly time?: string;
  readonly datacontenttype?: string;
  readonly dataschema?: string;
  readonly data: Data;
}

/** What the events of a chain say of their block. */
export interface BlockData {
  readonly network: number;
  readonly block: {
    readonly height: number;
    readonly hash: string;
    /** Milliseconds since 1970. */
    readonly time: number;
    /** How many transactions it has. */
    readonly transactions: number;
  };
}

/** A transaction in an event. Amounts are decimal strings in datoshi (10^-8 GAS): `BigInt(transaction.systemFee)`. */
export interface TransactionSummary {
  readonly hash: string;
  /** Position in the block, from 0. */
  readonly index: number;
  /** Address that pays the fees. */
  readonly sender: string;
  readonly signers: readonly string[];
  readonly systemFee: string;
  readonly networkFee: string;
}

/** An execution in an event. */
export interface ExecutionSummary {
  readonly index: number;
  readonly trigger: "Application" | "OnPersist" | "PostPersist" | "Verification";
  readonly state: "HALT" | "FAULT";
  /** Decimal string in datoshi. */
  readonly gas: string;
  /** Why it faulted. */
  readonly exception?: string | null;
  /** What it left on its stack; not with notifications. */
  readonly result?: readonly Json[];
}

/** `on.block` */
export type BlockEvent = CloudEvent<BlockData, "neo.block">;

/** `on.transaction` and `on.execution` */
export type TransactionEvent = CloudEvent<
  BlockData & { readonly transaction: TransactionSummary; readonly execution: ExecutionSummary },
  "neo.transaction" | "neo.execution"
>;

/**
 * `on.notification`. Parameters are by name: integers are decimal strings, accounts addresses, hashes `0x…`.
 *
 * ```ts
 * type Transfer = NotificationEvent<{ from: string | null; to: string | null; amount: string }>;
 * ```
 */
export type NotificationEvent<Args = { readonly [name: string]: Json }> = CloudEvent<
  BlockData & {
    /** Null for what the block does by itself. */
    readonly transaction: TransactionSummary | null;
    readonly execution: ExecutionSummary;
    readonly contract: string;
    /** Of native contracts: `GAS`. */
    readonly contractName?: string;
    readonly event: string;
    /** Position among the notifications of its execution, from 0. */
    readonly index: number;
    readonly args: Args;
    /** Stack items as nodes write them, where no manifest says what they mean. */
    readonly state?: readonly Json[];
  },
  "neo.notification"
>;

/** `on.cron`; `time` is when it was due. `data` is the trigger's own. */
export type CronEvent<Data = Json | undefined> = CloudEvent<Data, "neofn.cron">;

declare global {
  /** What is written here is kept with the invocation: `neofn logs`. */
  interface Console {
    log(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
    debug(...values: unknown[]): void;
    trace(...values: unknown[]): void;
    dir(value: unknown): void;
    assert(condition?: unknown, ...values: unknown[]): void;
  }
  var console: Console;

  interface TextEncoder {
    readonly encoding: string;
    encode(text?: string): Uint8Array;
    encodeInto(text: string, target: Uint8Array): { read: number; written: number };
  }
  var TextEncoder: { prototype: TextEncoder; new (): TextEncoder };

  interface TextDecoder {
    readonly encoding: string;
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    decode(input?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
  }
  var TextDecoder: {
    prototype: TextDecoder;
    new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder;
  };

  interface URLSearchParams {
    readonly size: number;
    append(name: string, value: string): void;
    delete(name: string, value?: string): void;
    get(name: string): string | null;
    getAll(name: string): string[];
    has(name: string, value?: string): boolean;
    set(name: string, value: string): void;
    sort(): void;
    toString(): string;
    forEach(callback: (value: string, name: string, parent: URLSearchParams) => void): void;
    entries(): IterableIterator<[string, string]>;
    keys(): IterableIterator<string>;
    values(): IterableIterator<string>;
    [Symbol.iterator](): IterableIterator<[string, string]>;
  }
  var URLSearchParams: {
    prototype: URLSearchParams;
    new (init?: string | URLSearchParams | Record<string, string> | Iterable<[string, string]>): URLSearchParams;
  };

  interface URL {
    hash: string;
    host: string;
    hostname: string;
    href: string;
    readonly origin: string;
    password: string;
    pathname: string;
    port: string;
    protocol: string;
    search: string;
    readonly searchParams: URLSearchParams;
    username: string;
    toString(): string;
    toJSON(): string;
  }
  var URL: {
    prototype: URL;
    new (url: string | URL, base?: string | URL): URL;
    canParse(url: string | URL, base?: string | URL): boolean;
    parse(url: string | URL, base?: string | URL): URL | null;
  };

  /** Random values are recorded, so that a replay sees the same. */
  interface Crypto {
    getRandomValues<T extends Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array>(array: T): T;
    randomUUID(): string;
  }
  var crypto: Crypto;

  /** Time stands still while code runs: it moves on with every answer of a service. */
  interface Performance {
    now(): number;
    readonly timeOrigin: number;
  }
  var performance: Performance;

  function structuredClone<T>(value: T): T;
  function queueMicrotask(job: () => void): void;
  function atob(text: string): string;
  function btoa(text: string): string;
}
