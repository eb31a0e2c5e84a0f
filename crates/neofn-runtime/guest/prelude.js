//! The globals that are written in JavaScript, and `ctx`. Evaluated once, when the engine is built.
//! `native` is services.c; nothing here keeps state between calls, for every call gets a fresh memory image.
(function (native) {
  "use strict";
  const { log, context, request, service, utf8Encode, utf8Decode, hex } = native;
  const { stringify, parse } = JSON;
  const define = (target, name, value) =>
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });

  // ---- errors that come from the host ------------------------------------------------------------------------

  class HostError extends Error {
    // the code that counts: functions can neither write it nor reach what does
    #code;
    constructor(code, message) {
      super(message);
      this.#code = code;
      define(this, "code", code);
    }
    static codeOf(value) { return typeof value === "object" && value !== null && #code in value ? value.#code : undefined; }
  }
  define(HostError.prototype, "name", "HostError");
  define(HostError.prototype, "constructor", Error);
  const makeHostError = ({ code, message }) => new HostError(code, message);

  const NOT_IN_A_CALL = "not available while the module is loaded: use it inside the handler";

  // ---- console ------------------------------------------------------------------------------------------------

  const show = (value) => {
    switch (typeof value) {
      case "string": return value;
      case "bigint": return `${value}n`;
      case "function": return `[Function${typeof value.name === "string" && value.name ? ` ${value.name}` : ""}]`;
      case "object": {
        if (value === null) return "null";
        if (value instanceof Error) return `${value.name}: ${value.message}`;
        try {
          const json = stringify(value);
          if (json !== undefined) return json;
        } catch (error) {
          return `[object: ${error instanceof Error ? error.message : "cannot be shown"}]`;
        }
        return "[object]";
      }
      default: return String(value);
    }
  };
  const line = (values) => {
    let text = "";
    for (let i = 0; i < values.length; i++) text += i ? ` ${show(values[i])}` : show(values[i]);
    return text;
  };
  const console = {
    log: (...values) => log(0, line(values)),
    info: (...values) => log(1, line(values)),
    warn: (...values) => log(2, line(values)),
    error: (...values) => log(3, line(values)),
    debug: (...values) => log(4, line(values)),
    trace: (...values) => log(4, line(values)),
    dir: (value) => log(0, show(value)),
    assert: (condition, ...values) => {
      if (!condition) log(3, values.length ? `Assertion failed: ${line(values)}` : "Assertion failed");
    },
  };

  // ---- bytes and text -----------------------------------------------------------------------------------------

  const bytesOf = (value) => {
    if (value instanceof Uint8Array) return value;
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    throw new TypeError("expected a string, an ArrayBuffer or a view of one");
  };
  const inputOf = (value) => (typeof value === "string" ? value.toWellFormed() : bytesOf(value));
  // Answers of services are byte arrays or text; refusals are negative numbers.
  const serve = (name, op, size, asText, ...inputs) => {
    const answer = service(op, size, asText, ...inputs);
    if (typeof answer !== "number") return answer;
    if (answer === -2) throw new RangeError(`${name}: the input is too large`);
    if (answer === -4) throw new Error(`${name} is ${NOT_IN_A_CALL}`);
    throw new TypeError(`${name}: the input is not valid`);
  };
  const sizeOf = (input) => (typeof input === "string" ? input.length * 3 : input.length);

  class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = "") { return utf8Encode(String(text).toWellFormed()); }
    encodeInto(text, target) {
      let read = 0, written = 0;
      for (const char of String(text).toWellFormed()) {
        const bytes = utf8Encode(char);
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        written += bytes.length;
        read += char.length;
      }
      return { read, written };
    }
  }
  class TextDecoder {
    #fatal;
    #ignoreBOM;
    #left = new Uint8Array(0);
    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
      if (!["utf-8", "utf8", "unicode-1-1-utf-8"].includes(String(label).trim().toLowerCase()))
        throw new RangeError(`the encoding ${label} is not supported, only utf-8`);
      this.#fatal = !!fatal;
      this.#ignoreBOM = !!ignoreBOM;
    }
    get encoding() { return "utf-8"; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBOM; }
    decode(input, { stream = false } = {}) {
      let bytes = input === undefined ? new Uint8Array(0) : bytesOf(input);
      if (this.#left.length) {
        const joined = new Uint8Array(this.#left.length + bytes.length);
        joined.set(this.#left);
        joined.set(bytes, this.#left.length);
        bytes = joined;
        this.#left = new Uint8Array(0);
      }
      if (stream) {
        // a sequence that is cut at the end waits for its rest
        let from = bytes.length;
        while (from > 0 && bytes.length - from < 3 && (bytes[from - 1] & 0xc0) === 0x80) from--;
        const lead = from > 0 ? bytes[from - 1] : 0;
        const wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (wanted > bytes.length - from + 1) {
          this.#left = bytes.slice(from - 1);
          bytes = bytes.subarray(0, from - 1);
        }
      }
      const text = utf8Decode(bytes, this.#fatal);
      if (text === null) throw new TypeError("the bytes are not valid utf-8");
      return !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
  }

  // ---- structuredClone ----------------------------------------------------------------------------------------

  const cannotClone = (what) => new DOMException(`${what} could not be cloned`, "DataCloneError");
  const clone = (value, seen) => {
    if (typeof value === "function" || typeof value === "symbol") throw cannotClone(typeof value);
    if (typeof value !== "object" || value === null) return value;
    if (seen.has(value)) return seen.get(value);
    const keep = (copy) => (seen.set(value, copy), copy);
    if (Array.isArray(value)) {
      const copy = keep(new Array(value.length));
      for (const key of Object.keys(value)) copy[key] = clone(value[key], seen);
      return copy;
    }
    if (value instanceof Date) return keep(new Date(value.getTime()));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof Map) {
      const copy = keep(new Map());
      for (const [k, v] of value) copy.set(clone(k, seen), clone(v, seen));
      return copy;
    }
    if (value instanceof Set) {
      const copy = keep(new Set());
      for (const v of value) copy.add(clone(v, seen));
      return copy;
    }
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (value instanceof DataView) return keep(new DataView(clone(value.buffer, seen), value.byteOffset, value.byteLength));
    if (ArrayBuffer.isView(value))
      return keep(new value.constructor(clone(value.buffer, seen), value.byteOffset, value.length));
    if (value instanceof Error) {
      const known = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
      const copy = keep(new (known[value.name] ?? Error)(value.message));
      if ("cause" in value) define(copy, "cause", clone(value.cause, seen));
      return copy;
    }
    if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt)
      return keep(Object(value.valueOf()));
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef)
      throw cannotClone(value.constructor.name);
    const copy = keep({});
    for (const key of Object.keys(value))
      Object.defineProperty(copy, key, { value: clone(value[key], seen), writable: true, configurable: true, enumerable: true });
    return copy;
  };
  const structuredClone = (value) => clone(value, new Map());

  // ---- URL ----------------------------------------------------------------------------------------------------

  const PARSE_URL = 20, SET_URL = 21;
  const urlParts = (op, ...inputs) => {
    let size = 1024;
    const given = inputs.map((text) => String(text).toWellFormed());
    for (const text of given) size += text.length * 36; // escaped twice over: in the URL and in JSON
    const answer = service(op, size, true, ...given);
    if (answer === -2) throw new RangeError("the URL is too long");
    return typeof answer === "number" ? null : parse(answer);
  };
  const decodePart = (text) => {
    const bytes = utf8Encode(text.replaceAll("+", " "));
    let out = 0;
    for (let i = 0; i < bytes.length; i++, out++) {
      const code = bytes[i] === 37 ? Number.parseInt(String.fromCharCode(bytes[i + 1], bytes[i + 2]), 16) : NaN;
      const isHex = bytes[i] === 37 && /^[0-9a-f]{2}$/i.test(String.fromCharCode(bytes[i + 1] ?? 0, bytes[i + 2] ?? 0));
      bytes[out] = isHex ? code : bytes[i];
      if (isHex) i += 2;
    }
    return utf8Decode(bytes.subarray(0, out), false);
  };
  const encodePart = (text) => {
    let out = "";
    for (const byte of utf8Encode(text.toWellFormed())) {
      if (byte === 32) out += "+";
      else if ((byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
        || byte === 42 || byte === 45 || byte === 46 || byte === 95) out += String.fromCharCode(byte);
      else out += `%${byte < 16 ? "0" : ""}${byte.toString(16).toUpperCase()}`;
    }
    return out;
  };
  let setParams; // reaches the private list of URLSearchParams
  class URLSearchParams {
    #list = [];
    #changed = null;
    static {
      setParams = (params, query, changed) => {
        params.#read(query);
        if (changed) params.#changed = changed;
      };
    }
    constructor(init = "") {
      if (typeof init === "object" && init !== null) {
        if (typeof init[Symbol.iterator] === "function")
          for (const pair of init) {
            const [name, value, ...rest] = pair;
            if (value === undefined || rest.length) throw new TypeError("each pair must have a name and a value");
            this.#list.push([String(name), String(value)]);
          }
        else for (const name of Object.keys(init)) this.#list.push([name, String(init[name])]);
      } else this.#read(String(init));
    }
    #read(query) {
      this.#list = [];
      for (const part of (query[0] === "?" ? query.slice(1) : query).split("&")) {
        if (!part) continue;
        const at = part.indexOf("=");
        this.#list.push(at < 0 ? [decodePart(part), ""] : [decodePart(part.slice(0, at)), decodePart(part.slice(at + 1))]);
      }
    }
    #update() { this.#changed?.(this.toString()); }
    get size() { return this.#list.length; }
    append(name, value) { this.#list.push([String(name), String(value)]); this.#update(); }
    delete(name, value) {
      this.#list = this.#list.filter(([n, v]) => n !== String(name) || (value !== undefined && v !== String(value)));
      this.#update();
    }
    get(name) { return this.#list.find(([n]) => n === String(name))?.[1] ?? null; }
    getAll(name) { return this.#list.filter(([n]) => n === String(name)).map(([, v]) => v); }
    has(name, value) { return this.#list.some(([n, v]) => n === String(name) && (value === undefined || v === String(value))); }
    set(name, value) {
      const first = this.#list.findIndex(([n]) => n === String(name));
      if (first < 0) this.#list.push([String(name), String(value)]);
      else {
        this.#list[first][1] = String(value);
        this.#list = this.#list.filter(([n], i) => i <= first || n !== String(name));
      }
      this.#update();
    }
    sort() { this.#list.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); this.#update(); }
    forEach(visit, self) { for (const [name, value] of this.#list) visit.call(self, value, name, this); }
    *entries() { for (const [name, value] of this.#list) yield [name, value]; }
    *keys() { for (const [name] of this.#list) yield name; }
    *values() { for (const [, value] of this.#list) yield value; }
    [Symbol.iterator]() { return this.entries(); }
    toString() { return this.#list.map(([n, v]) => `${encodePart(n)}=${encodePart(v)}`).join("&"); }
    get [Symbol.toStringTag]() { return "URLSearchParams"; }
  }
  class URL {
    #parts;
    #params = null;
    constructor(url, base) {
      this.#parts = base === undefined ? urlParts(PARSE_URL, url) : urlParts(PARSE_URL, url, base);
      if (this.#parts === null) throw new TypeError(`Invalid URL: ${String(url).slice(0, 200)}`);
    }
    static canParse(url, base) {
      return (base === undefined ? urlParts(PARSE_URL, url) : urlParts(PARSE_URL, url, base)) !== null;
    }
    static parse(url, base) { return URL.canParse(url, base) ? new URL(url, base) : null; }
    static {
      for (const part of ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"])
        Object.defineProperty(URL.prototype, part, {
          get() { return this.#parts[part]; },
          set(value) {
            const parts = urlParts(SET_URL, this.#parts.href, part, value);
            if (parts === null) return;
            this.#parts = parts;
            if (part === "search" && this.#params) setParams(this.#params, parts.search);
          },
          configurable: true, enumerable: true,
        });
    }
    get href() { return this.#parts.href; }
    set href(value) {
      const parts = urlParts(PARSE_URL, value);
      if (parts === null) throw new TypeError("Invalid URL");
      this.#parts = parts;
      if (this.#params) setParams(this.#params, parts.search);
    }
    get origin() { return this.#parts.origin; }
    get searchParams() {
      if (!this.#params) {
        this.#params = new URLSearchParams();
        setParams(this.#params, this.#parts.search, (query) => {
          this.#parts = urlParts(SET_URL, this.#parts.href, "search", query) ?? this.#parts;
        });
      }
      return this.#params;
    }
    toString() { return this.#parts.href; }
    toJSON() { return this.#parts.href; }
    get [Symbol.toStringTag]() { return "URL"; }
  }

  // ---- crypto -------------------------------------------------------------------------------------------------

  const RANDOM = 0, SHA256 = 1, SHA512 = 2, KECCAK256 = 3, RIPEMD160 = 4, HASH160 = 5, HASH256 = 6, HMAC_SHA256 = 7,
    VERIFY_SECP256R1 = 8, BASE58_ENCODE = 9, BASE58_DECODE = 10, BASE58CHECK_ENCODE = 11, BASE58CHECK_DECODE = 12,
    BASE64_ENCODE = 13, BASE64_DECODE = 14, HEX_DECODE = 15;
  const RANDOM_MAX = 65_536;

  const randomBytes = (count) => {
    if (!Number.isInteger(count) || count < 0 || count > RANDOM_MAX)
      throw new RangeError(`randomBytes: the count must be an integer from 0 to ${RANDOM_MAX}`);
    return serve("randomBytes", RANDOM, count, false);
  };
  const randomUUID = () => {
    const bytes = randomBytes(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const text = hex(bytes);
    return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
  };
  const getRandomValues = (array) => {
    if (!ArrayBuffer.isView(array) || array instanceof DataView || array instanceof Float32Array || array instanceof Float64Array)
      throw new TypeError("getRandomValues: expected an array of integers");
    bytesOf(array).set(randomBytes(array.byteLength));
    return array;
  };
  // Digests answer lower-case hex, or what the last argument names: "hex", "base64" or "bytes".
  const asked = (bytes, form) => {
    switch (form) {
      case "hex": return hex(bytes);
      case "base64": return serve("base64", BASE64_ENCODE, bytes.length * 2 + 4, true, bytes);
      case "bytes": return bytes;
      default: throw new TypeError(`the form of a digest is "hex", "base64" or "bytes", not ${show(form)}`);
    }
  };
  const digest = (name, op, size) => ({
    [name]: (data, form = "hex") => asked(serve(name, op, size, false, inputOf(data)), form),
  })[name];
  const fromHex = (name, value) => {
    if (typeof value !== "string") return bytesOf(value);
    const text = value.startsWith("0x") ? value.slice(2) : value;
    return serve(name, HEX_DECODE, text.length, false, text.toWellFormed());
  };
  // Base58 takes quadratic time, and what is written in it (addresses, keys) is short. The limits are the host's.
  const BASE58_BYTES_MAX = 128, BASE58_CHARACTERS_MAX = 200;
  const tooLong = (name, most, unit) => new RangeError(`${name}: at most ${most} ${unit} can be given`);
  const base58Encode = (name, op, data) => {
    const input = typeof data === "string" ? utf8Encode(data.toWellFormed()) : bytesOf(data);
    if (input.length > BASE58_BYTES_MAX) throw tooLong(name, BASE58_BYTES_MAX, "bytes");
    return serve(name, op, BASE58_BYTES_MAX * 2, true, input);
  };
  const base58Decode = (name, op, data) => {
    const text = String(data).toWellFormed();
    if (text.length > BASE58_CHARACTERS_MAX) throw tooLong(name, BASE58_CHARACTERS_MAX, "characters");
    return serve(name, op, BASE58_CHARACTERS_MAX, false, text);
  };
  const ctxCrypto = Object.freeze({
    sha256: digest("sha256", SHA256, 32),
    sha512: digest("sha512", SHA512, 64),
    keccak256: digest("keccak256", KECCAK256, 32),
    ripemd160: digest("ripemd160", RIPEMD160, 20),
    hash160: digest("hash160", HASH160, 20),
    hash256: digest("hash256", HASH256, 32),
    hmacSha256: (key, data, form = "hex") =>
      asked(serve("hmacSha256", HMAC_SHA256, 32, false, inputOf(key), inputOf(data)), form),
    // Public key (33 or 65 bytes) and signature (64 bytes, r and s) as bytes or hex; the message as it was signed.
    verifySecp256r1: (publicKey, signature, message) =>
      serve("verifySecp256r1", VERIFY_SECP256R1, 1, false, fromHex("publicKey", publicKey),
        fromHex("signature", signature), inputOf(message))[0] === 1,
    base58Encode: (data) => base58Encode("base58Encode", BASE58_ENCODE, data),
    base58Decode: (text) => base58Decode("base58Decode", BASE58_DECODE, text),
    base58CheckEncode: (data) => base58Encode("base58CheckEncode", BASE58CHECK_ENCODE, data),
    base58CheckDecode: (text) => base58Decode("base58CheckDecode", BASE58CHECK_DECODE, text),
    base64Encode: (data) => { const input = inputOf(data); return serve("base64Encode", BASE64_ENCODE, sizeOf(input) * 2 + 4, true, input); },
    base64Decode: (text) => serve("base64Decode", BASE64_DECODE, String(text).length + 4, false, String(text).toWellFormed()),
    hexEncode: (data) => { const input = inputOf(data); return hex(typeof input === "string" ? utf8Encode(input) : input); },
    hexDecode: (text) => fromHex("hexDecode", String(text)),
    randomBytes,
    randomUUID,
  });

  // ---- ctx ----------------------------------------------------------------------------------------------------

  const KV_GET = 0, KV_PUT = 1, KV_DELETE = 2, KV_LIST = 3, KV_COUNTER = 4, INVOKE = 5;
  // An error that comes back later shows where the call was made: where it comes back there is nobody's code.
  const placed = async (answer, place) => {
    try {
      return await answer;
    } catch (error) {
      define(error, "stack", place.stack);
      throw error;
    }
  };
  const call = (service, op, input, grant = "kv = true") => {
    const answer = request(op, stringify(input));
    if (typeof answer !== "number") return placed(answer, new Error());
    switch (answer) {
      case -1: throw new HostError("NF0210", `ctx.${service} is not granted: add \`allow = { ${grant} }\` to this function in neofn.toml`);
      case -2: throw new HostError("NF0211", "this run has made as many host calls as it may");
      case -3: throw new HostError("NF0211", `ctx.${service}: the input of a host call is larger than it may be`);
      default: throw new Error(`ctx.${service} is ${NOT_IN_A_CALL}`);
    }
  };
  const keyOf = (key) => {
    if (typeof key !== "string") throw new HostError("NF0502", `ctx.kv: a key is a string, not ${typeof key}`);
    return key;
  };
  // A misspelt option would be an option that is silently not there.
  const options = (what, given, names) => {
    if (given === undefined) return {};
    if (typeof given !== "object" || given === null)
      throw new HostError("NF0216", `${what}: the options are an object`);
    for (const name of Object.keys(given)) {
      let known = false;
      for (let i = 0; i < names.length; i++) known ||= names[i] === name;
      if (!known) throw new HostError("NF0216", `${what}: there is no option \`${name}\`, but ${names.join(", ")}`);
    }
    return given;
  };
  // JSON has neither NaN nor Infinity: they would arrive as null, which means something else.
  const whole = (what, name, value) => {
    if (value !== undefined && !Number.isSafeInteger(value))
      throw new HostError("NF0216", `${what}: ${name} is ${String(value)}, but must be a whole number`);
    return value;
  };
  const revision = (what, value) => (value === null ? null : whole(what, "ifRevision", value));
  const kv = Object.freeze({
    async get(key) { return (await call("kv", KV_GET, { key: keyOf(key) }))?.value ?? null; },
    async getWithRevision(key) { return call("kv", KV_GET, { key: keyOf(key) }); },
    async put(key, value, given) {
      const { ifRevision, ttlMs } = options("ctx.kv.put", given, ["ifRevision", "ttlMs"]);
      if (value === undefined || typeof value === "function" || typeof value === "symbol")
        throw new HostError("NF0503", `ctx.kv.put: ${typeof value} is not JSON`);
      await call("kv", KV_PUT, {
        key: keyOf(key), value,
        ifRevision: revision("ctx.kv.put", ifRevision), ttlMs: whole("ctx.kv.put", "ttlMs", ttlMs),
      });
    },
    async delete(key, given) {
      const { ifRevision } = options("ctx.kv.delete", given, ["ifRevision"]);
      return (await call("kv", KV_DELETE, { key: keyOf(key), ifRevision: revision("ctx.kv.delete", ifRevision) })).deleted;
    },
    async list(given) {
      const { prefix = "", cursor, limit } = options("ctx.kv.list", given, ["prefix", "cursor", "limit"]);
      return call("kv", KV_LIST, { prefix, cursor, limit: whole("ctx.kv.list", "limit", limit) });
    },
    async increment(key, by = 1) {
      return (await call("kv", KV_COUNTER, { key: keyOf(key), by: whole("ctx.kv.increment", "by", by) })).value;
    },
  });

  // ---- ctx.neo ------------------------------------------------------------------------------------------------

  const NEO_HEAD = 6, NEO_BLOCK = 7, NEO_TRANSACTION = 8, NEO_LOG = 9, NEO_BALANCE = 10, NEO_TRANSFERS = 11,
    NEO_READ = 12, NEO_CALL = 13, NEO_DECODE = 14, NEO_INVOKE = 15, EMIT = 16;
  const bad = (message) => new HostError("NF0216", message);
  const chain = (name, op, input) => call(`neo.${name}`, op, input, 'chain = "read"');
  const textOf = (name, what, value) => {
    if (typeof value !== "string") throw bad(`ctx.neo.${name}: ${what} is a string, not ${value === null ? "null" : typeof value}`);
    return value;
  };
  const base64 = (bytes) => ctxCrypto.base64Encode(bytes);
  // What JSON cannot say travels with its type; the host knows the types of everything else from the manifest.
  const argument = (value) => {
    if (value === undefined) return null;
    if (typeof value === "bigint") return { type: "Integer", value: String(value) };
    // beyond 2^53 a number may already be another one than was written
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      throw bad(`ctx.neo: the number ${value} is not exact beyond 2^53: write a bigint or a string of digits`);
    if (typeof value !== "object" || value === null) return value;
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { type: "ByteArray", value: base64(bytesOf(value)) };
    if (Array.isArray(value)) return value.map(argument);
    if (value instanceof Map)
      return { type: "Map", value: Array.from(value, ([k, v]) => ({ key: argument(k), value: argument(v) })) };
    const copy = {};
    for (const key of Object.keys(value)) copy[key] = argument(value[key]);
    return copy;
  };
  const calling = (name, contract, method, args) => {
    if (!Array.isArray(args)) throw bad(`ctx.neo.${name}: args is an array`);
    return { contract: textOf(name, "the contract", contract), method: textOf(name, "the method", method), args: argument(args) };
  };
  const neoInvoke = (contract, method, args = [], given) => {
    const { gas, confirm } = options("ctx.neo.invoke", given, ["gas", "confirm"]);
    const input = { ...calling("invoke", contract, method, args), gas: gas === undefined ? undefined : String(gas), confirm };
    return call("neo.invoke", NEO_INVOKE, input, `chain = { write = { contracts = [${stringify(contract)}], gas = "0.5" } }`);
  };
  const ADDRESS_VERSION = 0x35;
  const reversed = (bytes) => Uint8Array.from(bytes).reverse();
  // The twenty bytes as they are on chain, or null.
  const hashBytes = (value) => {
    if (typeof value !== "string") {
      const bytes = bytesOf(value);
      if (bytes.length === 20) return bytes;
      return bytes.length === 33 ? ctxCrypto.hash160(Uint8Array.of(0x0c, 0x21, ...bytes, 0x41, 0x56, 0xe7, 0xb3, 0x27), "bytes") : null;
    }
    if (/^(0x)?[0-9a-f]{40}$/i.test(value)) return reversed(ctxCrypto.hexDecode(value));
    if (/^(0x)?0[23][0-9a-f]{64}$/i.test(value)) return hashBytes(ctxCrypto.hexDecode(value));
    if (!/^N[1-9A-HJ-NP-Za-km-z]{33}$/.test(value)) return null;
    const payload = service(BASE58CHECK_DECODE, 64, false, value);
    return typeof payload !== "number" && payload.length === 21 && payload[0] === ADDRESS_VERSION ? payload.subarray(1) : null;
  };
  const hashOf = (name, value) => {
    const bytes = hashBytes(value);
    if (bytes === null) throw bad(`ctx.neo.${name}: ${show(value).slice(0, 100)} is neither an address, a script hash nor a public key`);
    return bytes;
  };
  // What wallets sign: see docs/guides/chain.md.
  const framed = (text) => {
    const body = utf8Encode(text), n = body.length;
    const size = n < 0xfd ? [n] : n <= 0xffff ? [0xfd, n & 255, n >> 8] : [0xfe, n & 255, (n >> 8) & 255, (n >> 16) & 255, n >>> 24];
    return [...size, ...body];
  };
  const SIGNED = {
    plain: (_salt, message) => utf8Encode(message),
    classic: (salt, message) => Uint8Array.from([1, 0, 1, 0xf0, ...framed(salt + message), 0, 0]),
    ledger: (salt, message) => {
      const inner = Uint8Array.from([...new Array(25).fill(0), 1, ...new Array(22).fill(0), ...framed(salt + message)]);
      return Uint8Array.from([0, 0, 0, 0, ...ctxCrypto.sha256(inner, "bytes")]);
    },
  };
  const neo = Object.freeze({
    head: async () => chain("head", NEO_HEAD, {}),
    blockCount: async () => (await chain("blockCount", NEO_HEAD, {})).height + 1,
    account: async () => (await chain("account", NEO_HEAD, {})).account,
    block: async (height) => chain("block", NEO_BLOCK, { height }),
    transaction: async (hash) => chain("transaction", NEO_TRANSACTION, { hash: textOf("transaction", "the hash", hash) }),
    applicationLog: async (hash) => chain("applicationLog", NEO_LOG, { hash: textOf("applicationLog", "the hash", hash) }),
    balanceOf: async (account, token = "GAS") => (await chain("balanceOf", NEO_BALANCE, {
      account: textOf("balanceOf", "the account", account), token: textOf("balanceOf", "the token", token),
    })).amount,
    transfers: async (account, given) => {
      const { token, from, to } = options("ctx.neo.transfers", given, ["token", "from", "to"]);
      return chain("transfers", NEO_TRANSFERS, {
        account: textOf("transfers", "the account", account), token,
        from: whole("ctx.neo.transfers", "from", from), to: whole("ctx.neo.transfers", "to", to),
      });
    },
    contract: (hash) => Object.freeze({
      hash: textOf("contract", "the contract", hash),
      read: async (method, ...args) => (await chain("contract().read", NEO_READ, calling("contract().read", hash, method, args))).value,
      call: async (method, ...args) => chain("contract().call", NEO_CALL, calling("contract().call", hash, method, args)),
      invoke: async (method, ...args) => neoInvoke(hash, method, args),
    }),
    invoke: async (contract, method, args, given) => {
      if (typeof contract !== "object" || contract === null) return neoInvoke(contract, method, args, given);
      const { gas, confirm, ...call } = options("ctx.neo.invoke", contract, ["contract", "method", "args", "gas", "confirm"]);
      return neoInvoke(call.contract, call.method, call.args, { gas, confirm });
    },
    decode: async (script) => chain("decode", NEO_DECODE, { script: typeof script === "string" ? script : base64(bytesOf(script)) }),
    toScriptHash: (value) => `0x${hex(reversed(hashOf("toScriptHash", value)))}`,
    toAddress: (value) => ctxCrypto.base58CheckEncode(Uint8Array.of(ADDRESS_VERSION, ...hashOf("toAddress", value))),
    isAddress: (value) => typeof value === "string" && value[0] === "N" && hashBytes(value) !== null,
    verifySignature: (publicKey, signature, message, given) => {
      const { salt = "", format } = options("ctx.neo.verifySignature", given, ["salt", "format"]);
      const formats = format === undefined ? Object.keys(SIGNED) : [format];
      return formats.some((name) => {
        if (!Object.hasOwn(SIGNED, name)) throw new TypeError(`ctx.neo.verifySignature: the format is "plain", "classic" or "ledger", not ${show(name)}`);
        return ctxCrypto.verifySecp256r1(publicKey, signature, SIGNED[name](String(salt).toWellFormed(), String(message).toWellFormed()));
      });
    },
  });
  const emit = async (event, data, options) => {
    const given = typeof event === "string" ? { ...options, type: event, data } : event;
    if (typeof given !== "object" || given === null || typeof given.type !== "string")
      throw new HostError("NF0220", "ctx.emit: an event has a type: `ctx.emit({ type: \"order.paid\", data })`");
    return call("emit", EMIT, { ...given });
  };

  // ---- ctx.secrets --------------------------------------------------------------------------------------------

  const SECRET_GET = 17, SECRET_ROTATE = 18, FETCH = 19;
  const secretName = (what, name) => {
    if (typeof name !== "string") throw bad(`ctx.secrets.${what}: the name of a secret is a string, not ${typeof name}`);
    return name;
  };
  const fromBase64 = (text) => serve("base64Decode", BASE64_DECODE, text.length + 4, false, text);
  const secrets = Object.freeze({
    // The value where it is granted; else a handle, which `fetch` replaces on the way to the secret's hosts.
    async get(name) {
      const given = await call("secrets", SECRET_GET, { name: secretName("get", name) }, 'secrets = ["NAME"]');
      return given.handle ?? given.value ?? fromBase64(given.valueBase64);
    },
    async rotate(name, value, given) {
      const { ifVersion } = options("ctx.secrets.rotate", given, ["ifVersion"]);
      if (typeof value !== "string") throw bad(`ctx.secrets.rotate: the value is a string, not ${typeof value}`);
      return call("secrets", SECRET_ROTATE, {
        name: secretName("rotate", name), value: value.toWellFormed(), ifVersion: whole("ctx.secrets.rotate", "ifVersion", ifVersion),
      }, 'secrets = [{ name = "NAME", rotate = true }]');
    },
  });

  // ---- fetch --------------------------------------------------------------------------------------------------

  // A name is a token, a value has no line end; names are kept in lower case, as the web has it.
  const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, LINE = /[\0\r\n]/, EDGES = /^[\t\r\n ]+|[\t\r\n ]+$/g;
  const headerName = (name) => {
    const text = String(name);
    if (!TOKEN.test(text)) throw new TypeError(`Headers: ${show(text)} is no header's name`);
    return text.toLowerCase();
  };
  const headerValue = (value) => {
    const text = String(value).toWellFormed().replace(EDGES, "");
    if (LINE.test(text)) throw new TypeError("Headers: a value has a line end in it");
    return text;
  };
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  let pairsOf, bodyIn, responseOf;
  class Headers {
    #pairs = [];
    static { pairsOf = (headers) => headers.#pairs; }
    constructor(init) {
      if (init === undefined || init === null) return;
      if (typeof init !== "object") throw new TypeError("Headers: expected an object or pairs");
      if (init instanceof Headers) {
        this.#pairs = init.#pairs.map(([name, value]) => [name, value]);
      } else if (typeof init[Symbol.iterator] === "function") {
        for (const pair of init) {
          const [name, value, ...more] = pair;
          if (value === undefined || more.length > 0) throw new TypeError("Headers: a pair has a name and a value");
          this.append(name, value);
        }
      } else for (const name of Object.keys(init)) this.append(name, init[name]);
    }
    append(name, value) { this.#pairs.push([headerName(name), headerValue(value)]); }
    set(name, value) {
      const key = headerName(name), text = headerValue(value);
      this.#pairs = this.#pairs.filter(([other]) => other !== key);
      this.#pairs.push([key, text]);
    }
    delete(name) {
      const key = headerName(name);
      this.#pairs = this.#pairs.filter(([other]) => other !== key);
    }
    has(name) {
      const key = headerName(name);
      return this.#pairs.some(([other]) => other === key);
    }
    get(name) {
      const key = headerName(name);
      const found = this.#pairs.filter(([other]) => other === key);
      return found.length === 0 ? null : found.map(([, value]) => value).join(", ");
    }
    getSetCookie() { return this.#pairs.filter(([name]) => name === "set-cookie").map(([, value]) => value); }
    // By name; several values are one, but for cookies.
    #sorted() {
      const out = [];
      for (const name of [...new Set(this.#pairs.map(([name]) => name))].sort(compare)) {
        if (name === "set-cookie") for (const value of this.getSetCookie()) out.push([name, value]);
        else out.push([name, this.get(name)]);
      }
      return out;
    }
    forEach(visit, self) { for (const [name, value] of this.#sorted()) visit.call(self, value, name, this); }
    *entries() { yield* this.#sorted(); }
    *keys() { for (const [name] of this.#sorted()) yield name; }
    *values() { for (const [, value] of this.#sorted()) yield value; }
    [Symbol.iterator]() { return this.entries(); }
    get [Symbol.toStringTag]() { return "Headers"; }
  }

  // A body is text or bytes; null is none. Answers what it is, and what the web calls it.
  const bodyOf = (body) => {
    if (body === undefined || body === null) return [null, null];
    if (typeof body === "string") return [body.toWellFormed(), "text/plain;charset=UTF-8"];
    if (body instanceof URLSearchParams) return [body.toString(), "application/x-www-form-urlencoded;charset=UTF-8"];
    if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return [bytesOf(body).slice(), null];
    if (typeof body === "object" && Object.prototype.toString.call(body) === "[object Object]")
      throw new TypeError("a body is a string, bytes or URLSearchParams: use JSON.stringify");
    return [String(body).toWellFormed(), "text/plain;charset=UTF-8"];
  };
  const withoutMark = (text) => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  class Body {
    #body;
    #used = false;
    constructor(body) { this.#body = body; }
    #take() {
      if (this.#used) throw new TypeError("the body was read already");
      this.#used = this.#body !== null;
      return this.#body ?? "";
    }
    static {
      bodyIn = (of) => {
        if (of.#used) throw new TypeError("the body was read already");
        return of.#body;
      };
    }
    get bodyUsed() { return this.#used; }
    async text() {
      const body = this.#take();
      return withoutMark(typeof body === "string" ? body : utf8Decode(body));
    }
    async json() { return parse(await this.text()); }
    async bytes() {
      const body = this.#take();
      return typeof body === "string" ? utf8Encode(body) : body.slice();
    }
    async arrayBuffer() { return (await this.bytes()).buffer; }
  }

  const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
  const methodOf = (method) => {
    const text = String(method), upper = text.toUpperCase();
    if (!METHODS.includes(upper)) throw new TypeError(`fetch: no request is made by ${show(text)}`);
    return upper;
  };
  const REDIRECTS = ["follow", "manual", "error"];
  class Request extends Body {
    #url; #method; #headers; #redirect;
    constructor(input, init = {}) {
      const from = input instanceof Request ? input : null;
      const [body, type] = bodyOf(init.body);
      super(init.body === undefined && from ? bodyIn(from) : body);
      this.#url = from ? from.#url : new URL(String(input)).href;
      this.#method = init.method === undefined ? from?.method ?? "GET" : methodOf(init.method);
      this.#headers = new Headers(init.headers ?? from?.headers);
      this.#redirect = init.redirect ?? from?.redirect ?? "follow";
      if (!REDIRECTS.includes(this.#redirect)) throw new TypeError(`Request: redirect is one of ${REDIRECTS.join(", ")}`);
      if (type !== null && !this.#headers.has("content-type")) this.#headers.set("content-type", type);
      if ((this.#method === "GET" || this.#method === "HEAD") && bodyIn(this) !== null)
        throw new TypeError(`Request: a ${this.#method} request has no body`);
    }
    get url() { return this.#url; }
    get method() { return this.#method; }
    get headers() { return this.#headers; }
    get redirect() { return this.#redirect; }
    clone() { return new Request(this); }
    get [Symbol.toStringTag]() { return "Request"; }
  }
  const NO_BODY = [101, 204, 205, 304];
  class Response extends Body {
    #status; #statusText; #headers; #url = ""; #redirected = false; #type = "default";
    constructor(body, init = {}) {
      const [content, type] = bodyOf(body);
      super(content);
      this.#status = init.status === undefined ? 200 : Number(init.status);
      if (!Number.isInteger(this.#status) || this.#status < 200 || this.#status > 599)
        throw new RangeError(`Response: ${show(init.status)} is no status`);
      if (content !== null && NO_BODY.includes(this.#status))
        throw new TypeError(`Response: status ${this.#status} has no body`);
      this.#statusText = String(init.statusText ?? "");
      this.#headers = new Headers(init.headers);
      if (type !== null && !this.#headers.has("content-type")) this.#headers.set("content-type", type);
    }
    static json(data, init = {}) {
      const text = stringify(data);
      if (text === undefined) throw new TypeError("Response.json: the data is no JSON");
      const headers = new Headers(init.headers);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
      return new Response(text, { ...init, headers });
    }
    static redirect(url, status = 302) {
      if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`Response.redirect: ${show(status)} is no redirect`);
      return new Response(null, { status, headers: { location: new URL(String(url)).href } });
    }
    static {
      // What a host answered; its status may be one that has no body.
      responseOf = (answer) => {
        const bare = NO_BODY.includes(answer.status);
        const response = new Response(bare ? null : answer.body ?? fromBase64(answer.bodyBase64));
        response.#status = answer.status;
        response.#statusText = answer.statusText;
        response.#headers = new Headers(answer.headers);
        response.#url = answer.url;
        response.#redirected = answer.redirected;
        response.#type = "basic";
        return response;
      };
    }
    get status() { return this.#status; }
    get statusText() { return this.#statusText; }
    get ok() { return this.#status >= 200 && this.#status <= 299; }
    get headers() { return this.#headers; }
    get url() { return this.#url; }
    get redirected() { return this.#redirected; }
    get type() { return this.#type; }
    clone() {
      const copy = new Response(bodyIn(this), { headers: this.#headers });
      copy.#status = this.#status;
      copy.#statusText = this.#statusText;
      copy.#headers = new Headers(this.#headers);
      copy.#url = this.#url;
      copy.#redirected = this.#redirected;
      copy.#type = this.#type;
      return copy;
    }
    get [Symbol.toStringTag]() { return "Response"; }
  }
  const fetch = async (input, init = {}) => {
    const request = new Request(input, init);
    const body = bodyIn(request);
    const answer = await call("fetch", FETCH, {
      url: request.url, method: request.method, headers: pairsOf(request.headers), redirect: request.redirect,
      ...(typeof body === "string" ? { body } : body === null ? {} : { bodyBase64: base64(body) }),
      timeoutMs: whole("fetch", "timeoutMs", init.timeoutMs),
    }, 'net = ["https://…"]');
    return responseOf(answer);
  };

  // The context is read when it is first asked for: most calls never do.
  let read = null;
  const data = () => (read ??= context());
  // Time stands still while code runs, so these are whole milliseconds; 0 while the module is loaded.
  const startedAt = () => new Date(data()?.timestamp ?? 0).getTime();
  const contextProto = {};
  for (const name of ["functionName", "projectId", "invocationId", "timestamp", "version", "attempt", "deadline"])
    Object.defineProperty(contextProto, name, { get: () => data()[name], enumerable: true, configurable: true });
  for (const [name, value] of [["kv", kv], ["neo", neo], ["secrets", secrets], ["crypto", ctxCrypto]])
    Object.defineProperty(contextProto, name, { value, enumerable: true, configurable: true, writable: true });
  define(contextProto, "invoke", async (name, event = null) => {
    if (typeof name !== "string") throw new HostError("NF0216", "ctx.invoke: the name of the function is a string");
    return call("invoke", INVOKE, { function: name, event });
  });
  define(contextProto, "emit", emit);
  define(contextProto, "fetch", fetch);
  define(contextProto, "toJSON", () => ({ ...data() }));

  // ---- globals ------------------------------------------------------------------------------------------------

  const globals = {
    console, TextEncoder, TextDecoder, structuredClone, URL, URLSearchParams, fetch, Headers, Request, Response,
    crypto: { getRandomValues, randomUUID },
    performance: { now: () => Date.now() - startedAt(), get timeOrigin() { return startedAt(); } },
    queueMicrotask: (job) => {
      if (typeof job !== "function") throw new TypeError("queueMicrotask: expected a function");
      Promise.resolve().then(job);
    },
  };
  for (const name of Object.keys(globals)) define(globalThis, name, globals[name]);

  return { contextProto, makeHostError, hostCodeOf: HostError.codeOf };
})
