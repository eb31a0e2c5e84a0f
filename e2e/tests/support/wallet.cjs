// Makes a NEP-6 wallet with neon-js and prints it. Input: {key: private key in hex, password}.
const { join } = require("node:path");
const { readFileSync } = require("node:fs");
const { wallet } = require(join(process.argv[2], "node_modules", "@cityofzion", "neon-js"));

const { key, password } = JSON.parse(readFileSync(0, "utf8"));
const made = new wallet.Wallet({ name: "test", scrypt: { n: 256, r: 8, p: 8 } });
made.addAccount(new wallet.Account(key));
made.setDefault(0);
made.encryptAll(password).then(() => console.log(JSON.stringify(made.export())));
