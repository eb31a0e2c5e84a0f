//! Type-checks all templates and examples against index.d.ts, and checks that wrong programs are refused.
//! Installs the compiler once, into NEOFN_CACHE_DIR or ~/.cache/neofn.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const VERSION = "5.9.3";
const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const types = join(here, "index.d.ts");

function compiler() {
  const cache = join(process.env.NEOFN_CACHE_DIR ?? join(homedir(), ".cache/neofn"), `typescript-${VERSION}`);
  const tsc = join(cache, "node_modules/typescript/bin/tsc");
  if (!existsSync(tsc)) {
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, "package.json"), '{"private":true}');
    execFileSync("npm", ["install", "--silent", "--no-save", "--ignore-scripts", `typescript@${VERSION}`], { cwd: cache, stdio: "inherit" });
  }
  return tsc;
}
const tsc = compiler();
const check = (directory) => spawnSync(process.execPath, [tsc, "--noEmit", "-p", directory], { encoding: "utf8" });

const scratch = mkdtempSync(join(tmpdir(), "neofn-types-"));
let failed = 0;
const expect = (what, ok, output) => {
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
  if (!ok) {
    failed += 1;
    console.log(output);
  }
};
const isTyped = (directory) => existsSync(join(directory, "tsconfig.json"));

try {
  for (const name of readdirSync(join(root, "templates"))) {
    const directory = join(scratch, name);
    cpSync(join(root, "templates", name), directory, { recursive: true });
    if (!isTyped(directory)) continue;
    // The same places that `neofn init` writes to.
    mkdirSync(join(directory, ".neofn/types/neofn"), { recursive: true });
    cpSync(types, join(directory, ".neofn/types/neofn/index.d.ts"));
    const { status, stdout } = check(directory);
    expect(`template ${name}`, status === 0, stdout);
  }
  for (const name of readdirSync(join(root, "examples")).filter((n) => isTyped(join(root, "examples", n)))) {
    const { status, stdout } = check(join(root, "examples", name));
    expect(`example ${name}`, status === 0, stdout);
  }
  const base = JSON.parse(readFileSync(join(root, "templates/http-ts/tsconfig.json"), "utf8"));
  base.compilerOptions.paths = { neofn: [types] };
  const one = (kind, file) => {
    const directory = join(scratch, kind, file);
    mkdirSync(directory, { recursive: true });
    cpSync(join(here, "test", kind, file), join(directory, file));
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ ...base, include: [file, types] }));
    return check(directory);
  };
  for (const file of readdirSync(join(here, "test/right"))) {
    const { status, stdout } = one("right", file);
    expect(`right program ${file}`, status === 0, stdout);
  }
  for (const file of readdirSync(join(here, "test/wrong"))) {
    const { status, stdout } = one("wrong", file);
    const line = readFileSync(join(here, "test/wrong", file), "utf8").split("\n").findIndex((l) => l.includes("// wrong")) + 1;
    const places = [...stdout.matchAll(/^[^(]+\((\d+),/gm)].map((m) => Number(m[1]));
    expect(`wrong program ${file} is refused at line ${line}`, status !== 0 && places.length > 0 && places.every((p) => p === line), stdout);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
