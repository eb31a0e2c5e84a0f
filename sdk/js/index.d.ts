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
  /** The chain. Needs `allow = { chain = "read" }`; {@link Neo.invoke} needs `chain = { write = … }`. */
  readonly neo: Neo;
  /** Values that the function uses, mostly without seeing them. Needs `allow = { secrets = ["NAME"] }`. */
  readonly secrets: Secrets;
  /** Hashes, signatures and encodings, computed by the host at a fixed price. */
  readonly crypto: HostCrypto;
  /** The same as the global `fetch`: needs `allow = { net = ["https://api.example.org"] }`. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /**
   * Calls another function of the project and waits for its result. Its units are charged to this run;
   * calls may be 8 deep. Rejects with a {@link HostError} when the other function fails.
   */
  invoke<Result = Json>(name: string, event?: unknown): Promise<Result>;
  /**
   * Tells the project's functions with an `event` trigger. Events are committed together with the result of this
   * run, or not at all. At most 100 a run, 1 MiB each.
   */
  emit(event: EmittedEvent): Promise<{ id: string }>;
  emit(type: string, data?: unknown, options?: EventOptions): Promise<{ id: string }>;
}

/** What {@link Context.emit} takes; `source` is always this function. */
export interface EmittedEvent extends EventOptions {
  /** What kind of thing happened, like `com.example.order.paid`. */
  type: string;
  /** JSON. */
  data?: unknown;
}

/** What an event has besides type and data. */
export interface EventOptions {
  /** What it is about. */
  subject?: string;
  /** Unique among this function's events; made up when absent. */
  id?: string;
  /** When it happened, RFC 3339; now when absent. */
  time?: string;
  /** What the data is; JSON when absent. */
  datacontenttype?: string;
  /** A URI of the data's schema. */
  dataschema?: string;
  /** Bytes instead of `data`. */
  data_base64?: string;
  /** Extensions such as `traceparent`: names of lower-case letters and digits, and a text, a whole number or a boolean. */
  [extension: string]: unknown;
}

/** A whole number of any size, in decimal digits: JavaScript's own numbers end at 2^53. `BigInt(x)` computes with it. */
export type Integer = string;
/** `N…`. */
export type Address = string;
/** `0x` and 40 digits. */
export type ScriptHash = string;
/** A block's or a transaction's: `0x` and 64 digits. */
export type Hash256 = string;

/**
 * An argument of a contract's method, converted by the type in its manifest. Integers: numbers, bigints or digits.
 * Accounts and contracts: addresses, `0x…`, `"GAS"`, `"NEO"`. Bytes: a Uint8Array or `0x…`. Where the manifest says
 * `Any`, a {@link TypedArgument} says what is meant.
 */
export type Argument =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | ArrayBuffer
  | ArrayBufferView
  | TypedArgument
  | Argument[]
  | Map<Argument, Argument>
  | { [name: string]: Argument };
/** An argument that carries its type. */
export interface TypedArgument {
  type: "Any" | "Boolean" | "Integer" | "ByteArray" | "String" | "Hash160" | "Hash256" | "PublicKey" | "Signature" | "Array" | "Map";
  value: Argument;
}

/** A value of the virtual machine as nodes write it: bytes are base64, integers decimal strings. */
export interface StackItem {
  readonly type: string;
  readonly value?: Json;
}

/** The newest block, and where this is. */
export interface NeoHead {
  readonly height: number;
  readonly hash: Hash256;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly network: number;
  /** The account in whose name {@link Neo.invoke} sends; null on a node without one. */
  readonly account: Address | null;
}
/** A transaction in a block. */
export interface NeoTransactionSummary {
  readonly hash: Hash256;
  readonly sender: Address;
  /** Datoshi (10^-8 GAS). */
  readonly systemFee: Integer;
  /** Datoshi. */
  readonly networkFee: Integer;
  /** The last height at which a block can take it. */
  readonly validUntil: number;
  /** Bytes. */
  readonly size: number;
  /** How it ended; null while it waits. */
  readonly state: "HALT" | "FAULT" | null;
  /** What running it burnt, datoshi. */
  readonly gas: Integer | null;
}
/** A block. */
export interface NeoBlock {
  readonly height: number;
  readonly hash: Hash256;
  readonly previousHash: Hash256;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Bytes. */
  readonly size: number;
  readonly transactionCount: number;
  readonly transactions: NeoTransactionSummary[];
  /** Whether there were more transactions than fit into an answer. */
  readonly truncated: boolean;
}
/** A transaction with its script. */
export interface NeoTransaction extends NeoTransactionSummary {
  readonly nonce: number;
  readonly signers: { readonly account: Address; readonly scopes: string }[];
  readonly attributes: string[];
  /** Base64; see {@link Neo.decode}. */
  readonly script: string;
  /** The block that it is in; null while it waits. */
  readonly height: number | null;
  readonly block: Hash256 | null;
  readonly time: number | null;
}
/** Something that a contract said. */
export interface NeoNotification {
  readonly contract: ScriptHash;
  readonly name: string;
  readonly state: StackItem[];
}
/** A script that ran. */
export interface NeoExecution {
  readonly trigger: "OnPersist" | "PostPersist" | "Application" | "Verification";
  readonly state: "HALT" | "FAULT";
  /** Datoshi. */
  readonly gas: Integer;
  readonly exception: string | null;
  readonly stack: StackItem[];
  readonly notifications: NeoNotification[];
}
/** How a call would end. */
export interface NeoCall<T = Json> {
  readonly state: "HALT" | "FAULT";
  /** What it would burn, datoshi. */
  readonly gas: Integer;
  readonly exception: string | null;
  /** The result by the manifest's type; null when it would fault. */
  readonly result: T | null;
  readonly stack: StackItem[];
  readonly notifications: NeoNotification[];
  readonly truncated: boolean;
}
/** A transfer of a token. */
export interface NeoTransfer {
  readonly height: number;
  readonly time: number;
  /** The transaction; null for what the block did by itself. */
  readonly hash: Hash256 | null;
  readonly token: ScriptHash;
  /** Null: the tokens were made. */
  readonly from: Address | null;
  /** Null: the tokens were burnt. */
  readonly to: Address | null;
  /** In the token's smallest unit. */
  readonly amount: Integer;
}
/** A transaction that a function sent. */
export interface SentTransaction {
  /** For `neofn tx`; null when it was only tried out (smoke tests and estimates send nothing). */
  readonly id: string | null;
  readonly hash: Hash256 | null;
  readonly state: "reserved" | "signed" | "broadcast" | "halt" | "fault" | "expired" | "replaced" | "dry-run";
  /** System and network fee, datoshi. */
  readonly fee: Integer;
  readonly validUntil: number | null;
  readonly height: number | null;
}
/** How to send. */
export interface InvokeOptions {
  /** The most fees of this transaction, in GAS: `"0.1"`. The grant's `gas` bounds all of a run together. */
  gas?: string | number;
  /** Wait until the transaction is in a block; the run's time goes on meanwhile. */
  confirm?: boolean;
}

/** A contract. Its manifest says how arguments and results are converted. */
export interface NeoContract {
  readonly hash: string;
  /** Calls a method against the present state; rejects with NF0810 when it faults. Of an iterator the first 100 items. */
  read<T = Json>(method: string, ...args: Argument[]): Promise<T>;
  /** Tries a method out: says how it would end, and never rejects because of a fault. */
  call<T = Json>(method: string, ...args: Argument[]): Promise<NeoCall<T>>;
  /** Sends a transaction that calls the method; see {@link Neo.invoke}. */
  invoke(method: string, ...args: Argument[]): Promise<SentTransaction>;
}

/** The chain. What it answers is recorded, so that a replay sees the same and sends nothing. */
export interface Neo {
  /** The newest block, the network and the account that sends. */
  head(): Promise<NeoHead>;
  /** How many blocks there are: the newest one's height and one. */
  blockCount(): Promise<number>;
  /** The account in whose name {@link Neo.invoke} sends; null on a node without one. */
  account(): Promise<Address | null>;
  /** A block; the newest without a height. */
  block(height?: number): Promise<NeoBlock>;
  transaction(hash: Hash256): Promise<NeoTransaction>;
  /** What a transaction did. */
  applicationLog(hash: Hash256): Promise<{ executions: NeoExecution[]; truncated: boolean }>;
  /** How much of a token (GAS when none is named) an account has, in the token's smallest unit. */
  balanceOf(account: Address | ScriptHash, token?: string): Promise<Integer>;
  /**
   * Transfers from and to an account, by blocks: the newest 100 unless `from` and `to` (heights) say others, 1 000 at
   * the most. `next` is the height to go on at. Each 100 blocks cost what one read costs.
   */
  transfers(account: Address | ScriptHash, options?: { token?: string; from?: number; to?: number }): Promise<{
    transfers: NeoTransfer[];
    from: number;
    to: number;
    next: number;
  }>;
  /** A contract by script hash, or `"GAS"`, `"NEO"`. */
  contract(hash: string): NeoContract;
  /**
   * Sends a transaction that calls a contract. Needs `chain = { write = { contracts = ["0x…"], gas = "0.5" } }`.
   * However often a run is tried again, the same call of the same invocation is one transaction.
   */
  invoke(contract: string, method: string, args?: Argument[], options?: InvokeOptions): Promise<SentTransaction>;
  invoke(call: { contract: string; method: string; args?: Argument[] } & InvokeOptions): Promise<SentTransaction>;
  /** The instructions of a script: bytes, base64, or hexadecimal after `0x`. */
  decode(script: string | ArrayBuffer | ArrayBufferView): Promise<{
    instructions: { offset: number; opcode: string; operand?: string; meaning?: string }[];
    calls: { contract: ScriptHash; method: string }[];
    broken: boolean;
  }>;
  /** Of an address, a script hash, a public key, or 20 bytes as they are on chain. Needs no grant. */
  toScriptHash(value: string | ArrayBuffer | ArrayBufferView): ScriptHash;
  /** Of an address, a script hash, a public key, or 20 bytes as they are on chain. Needs no grant. */
  toAddress(value: string | ArrayBuffer | ArrayBufferView): Address;
  /** Whether this is an address, its checksum included. Needs no grant. */
  isAddress(value: unknown): value is Address;
  /**
   * Checks a wallet's signature of a message, in any of the forms that wallets sign, or in the one that is named.
   * Says nothing of whose key it is: compare `toAddress(publicKey)`. Needs no grant.
   */
  verifySignature(
    publicKey: Bytes,
    signature: Bytes,
    message: string,
    options?: { salt?: string; format?: "plain" | "classic" | "ledger" },
  ): boolean;
}

/** What {@link Context.secrets} can do. */
export interface Secrets {
  /**
   * A handle, `{{secret:NAME}}`: where it stands in a header, in the query or in the body of a `fetch`, the value is
   * put in on the way out, if the secret names the request's host. With
   * `secrets = [{ name = "NAME", plaintext = true }]` the value itself; bytes if it is no text.
   */
  get(name: string): Promise<string>;
  /**
   * Sets a new value; needs `secrets = [{ name = "NAME", rotate = true }]`. It takes effect at once, whether or not
   * the run succeeds. With `ifVersion` only if that is the latest version.
   */
  rotate(name: string, value: string, options?: { ifVersion?: number }): Promise<{ version: number | null }>;
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

/** `on.transaction` */
export type TransactionEvent = CloudEvent<
  BlockData & { readonly transaction: TransactionSummary; readonly execution: ExecutionSummary },
  "neo.transaction"
>;

/** `on.execution` */
export type ExecutionEvent = CloudEvent<TransactionEvent["data"], "neo.execution">;

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

/** `args` of a NEP-17 transfer. */
export interface TransferArgs {
  /** Null: the tokens were made. */
  readonly from: Address | null;
  /** Null: the tokens were burnt. */
  readonly to: Address | null;
  /** In the token's smallest unit. */
  readonly amount: Integer;
}

/** `on.cron`; `time` is when it was due. `data` is the trigger's own. */
export type CronEvent<Data = Json | undefined> = CloudEvent<Data, "neofn.cron">;

/** `on.event`: what was sent to the project, or emitted by one of its functions. */
export type ReceivedEvent<Data = Json> = CloudEvent<Data>;

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

  type HeadersInit = Headers | Record<string, string> | Iterable<readonly [string, string]>;
  interface Headers {
    append(name: string, value: string): void;
    delete(name: string): void;
    /** Several values are joined by commas; null when there is none. */
    get(name: string): string | null;
    getSetCookie(): string[];
    has(name: string): boolean;
    set(name: string, value: string): void;
    forEach(callback: (value: string, name: string, parent: Headers) => void): void;
    entries(): IterableIterator<[string, string]>;
    keys(): IterableIterator<string>;
    values(): IterableIterator<string>;
    [Symbol.iterator](): IterableIterator<[string, string]>;
  }
  var Headers: { prototype: Headers; new (init?: HeadersInit): Headers };

  /** Text or bytes; there are no streams, blobs or forms. */
  type BodyInit = string | Uint8Array | ArrayBuffer | URLSearchParams;
  interface Body {
    readonly bodyUsed: boolean;
    text(): Promise<string>;
    json(): Promise<unknown>;
    bytes(): Promise<Uint8Array>;
    arrayBuffer(): Promise<ArrayBuffer>;
  }
  interface RequestInit {
    /** GET when absent. */
    method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | (string & {});
    headers?: HeadersInit;
    body?: BodyInit | null;
    /** `follow` when absent: at most three, each of them granted too. */
    redirect?: "follow" | "manual" | "error";
    /** At most 10 seconds. */
    timeoutMs?: number;
  }
  interface Request extends Body {
    readonly url: string;
    readonly method: string;
    readonly headers: Headers;
    readonly redirect: "follow" | "manual" | "error";
    clone(): Request;
  }
  var Request: { prototype: Request; new (input: string | URL | Request, init?: RequestInit): Request };
  interface ResponseInit {
    status?: number;
    statusText?: string;
    headers?: HeadersInit;
  }
  interface Response extends Body {
    readonly status: number;
    readonly statusText: string;
    /** Whether the status is 200 to 299. */
    readonly ok: boolean;
    readonly headers: Headers;
    /** What answered, after redirects. */
    readonly url: string;
    readonly redirected: boolean;
    readonly type: "default" | "basic";
    clone(): Response;
  }
  var Response: {
    prototype: Response;
    new (body?: BodyInit | null, init?: ResponseInit): Response;
    json(data: unknown, init?: ResponseInit): Response;
    redirect(url: string | URL, status?: number): Response;
  };
  /**
   * Asks another host: needs `allow = { net = ["https://api.example.org"] }`. Rejects with a `HostError` when there is
   * no answer; an answer that says no is an answer.
   */
  function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

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
