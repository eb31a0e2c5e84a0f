//! `ctx.neo` and `ctx.emit`, as a function sees them.

use super::*;
use serde_json::{Value, json as j};

fn run_granted(code: &str, grants: &[&str], event: &Value) -> CompletedCore {
    let mut input = input(&event.to_string());
    input.context.grants = grants.iter().map(ToString::to_string).collect();
    run_input(&deploy(code), &input)
}

#[test]
fn reads_and_sends_reach_the_host_with_what_json_cannot_say() {
    let code = r"export default async (e, { neo, emit }) => {
        const token = neo.contract('0xd2a4cff31913016155e38e474a2c06d08be276cf');
        return {
            count: await neo.blockCount(), head: (await neo.head()).network, block: await neo.block(7),
            balance: await neo.balanceOf('NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd'),
            log: await neo.applicationLog('0x02'), tx: await neo.transaction('0x03'),
            transfers: await neo.transfers('N', { from: 1, token: 'NEO' }),
            read: await token.read('m', 10n ** 20n, new Uint8Array([1, 2]), [undefined, 'x'], new Map([[1n, true]]), { type: 'Hash160', value: 'N' }),
            call: await token.call('m'), decoded: await neo.decode(new Uint8Array([0x40])),
            sent: await neo.invoke('GAS', 'transfer', ['a', 5n], { gas: 0.5, confirm: true }),
            same: await neo.invoke({ contract: 'GAS', method: 'm' }), third: await token.invoke('n', 1),
            emitted: [await emit({ type: 'a.b', data: { x: 1 }, subject: 's' }), await emit('c', [1])],
        };
    }";
    let core = run_granted(code, &["chain", "chain-write"], &Value::Null);
    let gas = "0xd2a4cff31913016155e38e474a2c06d08be276cf";
    assert_eq!(
        json(&core),
        j!({
            "count": 42, "head": 42, "block": {"height": 7},
            "balance": "340282366920938463463374607431768211456",
            "log": {"hash": "0x02"}, "tx": {"hash": "0x03"},
            "transfers": {"account": "N", "token": "NEO", "from": 1},
            "read": {"contract": gas, "method": "m", "args": [
                {"type": "Integer", "value": "100000000000000000000"}, {"type": "ByteArray", "value": "AQI="}, [null, "x"],
                {"type": "Map", "value": [{"key": {"type": "Integer", "value": "1"}, "value": true}]},
                {"type": "Hash160", "value": "N"},
            ]},
            "call": {"contract": gas, "method": "m", "args": []}, "decoded": {"script": "QA=="},
            "sent": {"contract": "GAS", "method": "transfer", "args": ["a", {"type": "Integer", "value": "5"}], "gas": "0.5", "confirm": true},
            "same": {"contract": "GAS", "method": "m", "args": []}, "third": {"contract": gas, "method": "n", "args": [1]},
            "emitted": [{"type": "a.b", "data": {"x": 1}, "subject": "s"}, {"type": "c", "data": [1]}],
        })
    );
    // ten reads, three transactions, two events, and some encoding
    let host = core.units.host;
    assert!((520_000..530_000).contains(&host), "{host}");
}

#[test]
fn a_denial_prints_the_line_to_add() {
    let code = r"export default async (e, { neo }) => {
        const why = async (f) => { try { await f(); return null; } catch (x) { return [x.name, x.code, x.message]; } };
        return [await why(() => neo.blockCount()), await why(() => neo.invoke('GAS', 'transfer'))];
    }";
    assert_eq!(
        json(&run_granted(code, &[], &Value::Null)),
        j!([
            [
                "HostError",
                "NF0210",
                "ctx.neo.blockCount is not granted: add `allow = { chain = \"read\" }` to this function in neofn.toml"
            ],
            [
                "HostError",
                "NF0210",
                "ctx.neo.invoke is not granted: add `allow = { chain = { write = { contracts = [\"GAS\"], gas = \"0.5\" } } }` to this function in neofn.toml"
            ]
        ])
    );
    let read_only = run_granted(code, &["chain"], &Value::Null);
    let answers = json(&read_only);
    assert_eq!((&answers[0], &answers[1][1]), (&Value::Null, &j!("NF0210")));
}

#[test]
fn addresses_and_script_hashes_are_converted_in_the_sandbox() {
    let code = r"export default (e, { neo }) => {
        const threw = (f) => { try { return f(); } catch (x) { return x.name; } };
        const address = 'NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd', hash = neo.toScriptHash(address);
        return {
            hash, back: neo.toAddress(hash), bare: neo.toAddress(hash.slice(2).toUpperCase()),
            key: neo.toAddress('026d126a219b8be214c82953a3195b91c4e7d905f3fc91fcd14dc8d87fe843b3fb'),
            bytes: neo.toAddress(new Uint8Array(20)), is: [neo.isAddress(address), neo.isAddress(hash), neo.isAddress(address.slice(0, 33) + 'e'), neo.isAddress(5)],
            bad: [threw(() => neo.toAddress('')), threw(() => neo.toScriptHash(null)), threw(() => neo.toAddress('x'.repeat(1e5))), threw(() => neo.toAddress(new Uint8Array(7)))],
        };
    }";
    assert_eq!(
        json(&run_granted(code, &[], &Value::Null)),
        j!({
            "hash": "0x6ad777fb3bfedf20f654cccc728598253273e050", "back": "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd",
            "bare": "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd", "key": "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd",
            "bytes": "NKuyBkoGdZZSLyPbJEetheRhMjeznFZszf", "is": [true, false, false, false],
            "bad": ["HostError", "TypeError", "HostError", "HostError"],
        })
    );
}

/// One key's signatures as wallets made them (neon-core 5.10.1).
#[test]
fn signatures_of_wallets_are_checked() {
    let wallet = j!({
        "key": "026d126a219b8be214c82953a3195b91c4e7d905f3fc91fcd14dc8d87fe843b3fb",
        "message": "neofn.example wants you to sign in ✓", "salt": "000102030405060708090a0b0c0d0e0f",
        "classic": "c0c6a0e6a358e2d0b5c81a34b65ae5a9a5607718701e743f560c39a7cdc9309e73e27af736d51c5f1888a121417c287589703ab67572f2078f83fb8e08383b10",
        "nosalt": "859c40263343d345ad6ce45243c3336530cc698681c982d2a3a76bfaad8dcced3d69b407ea577d209fdf4d106c76994ab0a00911aa366ac8b832751cbde239c4",
        "v2": "ef7fca2e97d3dadfce337addb0bf637bf2a28dc89f1cbd05b40fcbefabafac264c33f93eb5766236cf082f4abb42421971ec86fb0b6e06d12c1e33a35a0ded9a",
    });
    let code = r"export default (e, { neo }) => {
        const check = (signature, options) => neo.verifySignature(e.key, signature, e.message, options);
        return [
            check(e.classic, { salt: e.salt }), check(e.nosalt), check(e.v2, { salt: e.salt }), check(e.v2, { salt: e.salt, format: 'ledger' }),
            check(e.classic), check(e.nosalt, { salt: e.salt }), check(e.v2, { salt: e.salt, format: 'classic' }),
            (() => { try { check(e.v2, { format: 'other' }); } catch (x) { return x.name; } })(),
        ];
    }";
    assert_eq!(
        json(&run_granted(code, &[], &wallet)),
        j!([true, true, true, true, false, false, false, "TypeError"])
    );
}
