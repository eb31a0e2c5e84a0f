// What neon-js says of the cases on standard input. Its first argument is the directory that holds node_modules.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "package.json"));
const { sc, tx, u, wallet } = require("@cityofzion/neon-js");
const cases = JSON.parse(readFileSync(0, "utf8"));
const scrypt = { n: 256, r: 1, p: 1, keylen: 64 };

const keys = [];
for (const { private_key, nep2 } of cases.keys) {
  const account = new wallet.Account(private_key);
  keys.push({
    wif: account.WIF,
    public_key: account.publicKey,
    script_hash: `0x${account.scriptHash}`,
    address: account.address,
    verification: u.base642hex(account.contract.script),
    opened: await wallet.decrypt(nep2, "pässword", scrypt),
    sealed: await wallet.encrypt(private_key, "pässword", scrypt),
  });
}
const accounts = cases.accounts.map(({ needed, public_keys }) => {
  // neon-js takes keys in the order in which they are given; nodes order them by x
  const ordered = public_keys.toSorted((a, b) => (a.slice(2) < b.slice(2) ? -1 : 1));
  const account = wallet.Account.createMultiSig(needed, ordered);
  return { verification: u.base642hex(account.contract.script), script_hash: `0x${account.scriptHash}`, address: account.address };
});
const transactions = cases.transactions.map((c) => {
  const script = sc.createScript({
    scriptHash: c.contract,
    operation: "transfer",
    args: [sc.ContractParam.hash160(c.from), sc.ContractParam.hash160(c.to), sc.ContractParam.integer(c.amount), sc.ContractParam.any(null)],
  });
  const transaction = new tx.Transaction({
    nonce: c.nonce,
    systemFee: u.BigInteger.fromNumber(c.system_fee),
    networkFee: u.BigInteger.fromNumber(c.network_fee),
    validUntilBlock: c.valid_until,
    signers: c.signers,
    script,
  });
  const message = transaction.getMessageForSigning(c.network);
  return {
    script,
    unsigned: transaction.serialize(false),
    hash: `0x${transaction.hash()}`,
    signature: wallet.sign(message, c.private_key),
    verified: wallet.verify(message, c.signature, new wallet.Account(c.private_key).publicKey),
  };
});
process.stdout.write(JSON.stringify({ keys, accounts, transactions }));
