// Signs what it is told on standard input in every wallet's layout, with neon-js and nothing of ours, and prints the
// signatures. Input: {keys: [private keys in hex], message, salt, domain, network, nonce, timestamp, needed}.
const { join } = require("node:path");
const { readFileSync } = require("node:fs");
const { wallet, u } = require(join(process.argv[2], "node_modules", "@cityofzion", "neon-js"));

const input = JSON.parse(readFileSync(0, "utf8"));
const accounts = input.keys.map((key) => new wallet.Account(key));
const [one] = accounts;

const little = (number, bytes) => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(number));
  return buffer.subarray(0, bytes).toString("hex");
};
const text = (value) => Buffer.from(value, "utf8").toString("hex");
const varText = (value) => u.num2VarInt(Buffer.byteLength(value)) + text(value);

// the envelope of NeoLine and of dappkit: a transaction that no chain takes
const envelope = (value) => "010001f0" + varText(value) + "0000";
const ledger = (value) =>
  "00000000" + u.sha256("00".repeat(25) + "01" + "00".repeat(22) + varText(value));

const network = little(input.network, 4);
const nonce = little(input.nonce, 8);
const time = little(input.timestamp, 4);
const hash = u.reverseHex(one.scriptHash);
const tail = hash + varText("Authentication") + varText(input.domain);

const layouts = {
  classic: { bytes: envelope(input.salt + input.message), salt: input.salt },
  "without-salt": { bytes: envelope(input.message) },
  ledger: { bytes: ledger(input.salt + input.message), salt: input.salt },
  plain: { bytes: text(input.message) },
  "nep20-onegate": { bytes: network + nonce + time + tail, timestamp: input.timestamp },
  "nep20-neon-dapi": { bytes: nonce + time + network + tail, timestamp: input.timestamp },
  "nep20-neoline": { bytes: network + nonce + time + one.scriptHash, timestamp: input.timestamp },
};
// older releases, and wallets made with them, answer either of the two forms of a signature; a login page sends the
// lower one, which anybody can compute
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const sign = (bytes, key) => {
  const made = wallet.sign(bytes, key);
  const s = BigInt("0x" + made.slice(64));
  return s > ORDER / 2n ? made.slice(0, 64) + (ORDER - s).toString(16).padStart(64, "0") : made;
};
const signed = {};
for (const [name, { bytes, ...rest }] of Object.entries(layouts)) {
  signed[name] = { pubkey: one.publicKey, signature: sign(bytes, one.privateKey), ...rest };
}
const several = wallet.Account.createMultiSig(input.needed, accounts.map((a) => a.publicKey));
console.log(
  JSON.stringify({
    address: one.address,
    layouts: signed,
    several: {
      address: several.address,
      script: Buffer.from(several.contract.script, "base64").toString("hex"),
      signed: accounts.map((a) => ({
        pubkey: a.publicKey,
        signature: sign(text(input.message), a.privateKey),
      })),
    },
  }),
);
