//! The globals and `ctx.crypto`, as a function sees them.

use super::*;
use serde_json::json as j;

#[test]
fn crypto_services_answer() {
    let code = r"export default (e, ctx) => {
        const c = ctx.crypto, bytes = new Uint8Array([0, 255]);
        const threw = (f) => { try { f(); return false; } catch (x) { return x.name; } };
        return {
            sha256: c.sha256('abc'), b64: c.sha256('abc', 'base64').length, raw: c.sha256(bytes, 'bytes').length, utf8: c.sha256('é') === c.sha256(new TextEncoder().encode('é')),
            sha512: c.sha512('').slice(0, 8), hash256: c.hash256('').slice(0, 8), ripemd: c.ripemd160(''), hash160: c.hash160('').length, hmac: c.hmacSha256('Jefe', 'what do ya want for nothing?').slice(0, 8), keccak: c.keccak256('').slice(0, 8),
            b58: c.base58Encode('hello'), b58d: [...c.base58Decode('Cn8eVZg')], check: [...c.base58CheckDecode(c.base58CheckEncode(bytes))],
            base64: c.base64Encode(bytes), base64d: [...c.base64Decode('AP8')], hex: c.hexEncode(bytes), hexd: [...c.hexDecode('0x00ff')],
            random: c.randomBytes(5).length, uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(c.randomUUID()),
            values: crypto.getRandomValues(new Uint32Array(4)).some((v) => v > 255),
            bad: [threw(() => c.base58Decode('0OIl')), threw(() => c.hexDecode('x')), threw(() => c.randomBytes(1e9)), threw(() => c.sha256({})), threw(() => c.sha256('', 'latin')), threw(() => c.base58Encode('x'.repeat(5000)))],
            empty: c.sha256(new Uint8Array(0)) === c.sha256(''),
        };
    }";
    assert_eq!(
        json(&run(code, "null")),
        j!({
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "b64": 44, "raw": 32, "utf8": true,
            "sha512": "cf83e135", "hash256": "5df6e0e2", "ripemd": "9c1185a5c5e9fc54612808977ee8f548b2258d31", "hash160": 40, "hmac": "5bdcc146", "keccak": "c5d24601",
            "b58": "Cn8eVZg", "b58d": [104, 101, 108, 108, 111], "check": [0, 255],
            "base64": "AP8=", "base64d": [0, 255], "hex": "00ff", "hexd": [0, 255],
            "random": 5, "uuid": true, "values": true,
            "bad": ["TypeError", "TypeError", "RangeError", "TypeError", "TypeError", "RangeError"],
            "empty": true,
        })
    );
}

#[test]
fn signatures_of_neo_are_checked() {
    use p256::ecdsa::signature::Signer;
    let key = p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap();
    let signature: p256::ecdsa::Signature = key.sign(b"message");
    let event = j!({ "key": hex::encode(key.verifying_key().to_encoded_point(true)), "sig": hex::encode(signature.to_bytes()) });
    let code = "export default (e, { crypto }) => [crypto.verifySecp256r1(e.key, e.sig, 'message'), crypto.verifySecp256r1(e.key, e.sig, 'massage'), (() => { try { return crypto.verifySecp256r1('00', e.sig, ''); } catch (x) { return x.name; } })()]";
    let core = run(code, &event.to_string());
    assert_eq!(json(&core), j!([true, false, "TypeError"]));
    assert!(core.units.host >= 60_000);
}

#[test]
fn text_and_urls() {
    let code = r"export default () => {
        const u = new URL('../b?x=1&y=a%20b#h', 'https://user:pw@exämple.org:8443/a/c/d');
        u.searchParams.append('z', 'ü&');
        u.port = ''; u.hash = '';
        const stream = new TextDecoder();
        const bytes = new TextEncoder().encode('aü€😀');
        let parts = ''; for (const b of bytes) parts += stream.decode(new Uint8Array([b]), { stream: true }); parts += stream.decode();
        const threw = (f) => { try { f(); return false; } catch (x) { return x.name; } };
        return {
            href: u.href, y: u.searchParams.get('y'), origin: u.origin, json: JSON.stringify({ u }), bad: threw(() => new URL('x')), can: URL.canParse('a:b'),
            params: new URLSearchParams({ a: '1 2', b: '€' }).toString(), pairs: [...new URLSearchParams('?a=1&a=2&b')],
            bytes: [...bytes], parts, mended: new TextDecoder().decode(new Uint8Array([97, 0xff, 0xe2, 0x82, 98])), fatal: threw(() => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff]))), bom: new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])),
            atob: atob('aGk='), btoa: btoa('hi'), lone: [...new TextEncoder().encode('\ud800')],
            into: new TextEncoder().encodeInto('ü€', new Uint8Array(4)),
        };
    }";
    assert_eq!(
        json(&run(code, "null")),
        j!({
            "href": "https://user:pw@xn--exmple-cua.org/a/b?x=1&y=a+b&z=%C3%BC%26", "y": "a b", "origin": "https://xn--exmple-cua.org",
            "json": "{\"u\":\"https://user:pw@xn--exmple-cua.org/a/b?x=1&y=a+b&z=%C3%BC%26\"}", "bad": "TypeError", "can": true,
            "params": "a=1+2&b=%E2%82%AC", "pairs": [["a", "1"], ["a", "2"], ["b", ""]],
            "bytes": [97, 195, 188, 226, 130, 172, 240, 159, 152, 128], "parts": "aü€😀", "mended": "a\u{fffd}\u{fffd}b", "fatal": "TypeError", "bom": "a",
            "atob": "hi", "btoa": "aGk=", "lone": [239, 191, 189], "into": {"read": 1, "written": 2},
        })
    );
}

#[test]
fn structured_clone_copies_what_it_can() {
    let code = r"export default async () => {
        const a = { d: new Date(5), m: new Map([[1, new Set([2])]]), r: /x/gi, t: new Uint16Array([1, 2]), e: new TypeError('x'), n: [1, , 3] }; a.self = a;
        const b = structuredClone(a);
        let bad; try { structuredClone({ f() {} }); } catch (x) { bad = x.name; }
        let order = []; queueMicrotask(() => order.push(2)); order.push(1); await null;
        return [b !== a, b.self === b, b.d.getTime(), [...b.m.get(1)], String(b.r), [...b.t], b.e instanceof TypeError, 1 in b.n, bad, order];
    }";
    assert_eq!(
        json(&run(code, "null")),
        j!([
            true,
            true,
            5,
            [2],
            "/x/gi",
            [1, 2],
            true,
            false,
            "DataCloneError",
            [1, 2]
        ])
    );
}
