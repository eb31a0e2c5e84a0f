//! Values in text, as programs write them.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

fn name() -> SecretName {
    "TOKEN".parse().unwrap()
}
fn scrubber(value: &[u8]) -> Scrubber {
    Scrubber::new([(&name(), &SecretValue::new(value).unwrap())]).unwrap()
}

const CANARY: &str = "c4nary/\"Kö&=+ <x>'\\é😀\n!";

#[test]
fn every_encoding_of_the_canary_is_found() {
    let s = scrubber(CANARY.as_bytes());
    let json = serde_json::to_string(CANARY).unwrap();
    let inside = json[1..json.len() - 1].to_owned();
    let component = "c4nary%2F%22K%C3%B6%26%3D%2B%20%3Cx%3E'%5C%C3%A9%F0%9F%98%80%0A!";
    let form = "c4nary%2F%22K%C3%B6%26%3D%2B+%3Cx%3E%27%5C%C3%A9%F0%9F%98%80%0A%21";
    let mut forms = vec![
        CANARY.to_owned(),
        CANARY.chars().rev().collect(),
        STANDARD.encode(CANARY),
        URL_SAFE_NO_PAD.encode(CANARY),
        STANDARD.encode(format!("u:{CANARY}")),
        STANDARD.encode(format!("x{CANARY}tail")),
        URL_SAFE_NO_PAD.encode(format!("{{\"a\":\"{CANARY}\"}}")),
        hex::encode(CANARY),
        hex::encode_upper(CANARY),
        component.to_owned(),
        form.to_owned(),
        component
            .replace("%2F", "%2f")
            .replace("%C3%B6", "%c3%b6")
            .replace("%3D%2B", "%3d%2b")
            .replace("%3Cx%3E", "%3cx%3e")
            .replace("%5C%C3%A9%F0%9F%98%80%0A", "%5c%c3%a9%f0%9f%98%80%0a"),
        inside.clone(),
        inside.replace('/', "\\/"),
        inside
            .replace('ö', "\\u00f6")
            .replace('é', "\\u00e9")
            .replace('😀', "\\ud83d\\ude00"),
        serde_json::to_string(&json).unwrap(),
        CANARY
            .bytes()
            .map(|b| b.to_string())
            .collect::<Vec<_>>()
            .join(","),
    ];
    forms.extend(forms.clone().iter().map(|f| format!("before {f} after")));
    for form in forms {
        let clean = s.text(&form);
        assert!(clean.contains("[secret TOKEN]"), "{form} -> {clean}");
        for part in ["c4nary", "yran4c"] {
            assert!(!clean.contains(part), "{form} -> {clean}");
        }
    }
}

#[test]
fn what_is_spelled_out_is_found_too() {
    let s = scrubber(CANARY.as_bytes());
    let units = |upper: bool| {
        let one = |u: u16| {
            if upper {
                format!("\\u{u:04X}")
            } else {
                format!("\\u{u:04x}")
            }
        };
        CANARY.encode_utf16().map(one).collect::<String>()
    };
    let bytes = |form: fn(u8) -> String, between: &str| {
        let all: Vec<String> = CANARY.bytes().map(form).collect();
        all.join(between)
    };
    let chars = |form: fn(u32) -> String| CANARY.chars().map(|c| form(u32::from(c))).collect::<String>();
    let places: Vec<String> = CANARY
        .bytes()
        .enumerate()
        .map(|(i, b)| format!("\"{i}\":{b}"))
        .collect();
    let percent = "c4nary%2F%22K%C3%B6%26%3D%2B%20%3Cx%3E'%5C%C3%A9%F0%9F%98%80%0A!";
    let forms = [
        units(false),
        units(true),
        serde_json::to_string(&units(false)).unwrap(),
        bytes(|b| format!("\\x{b:02x}"), ""),
        bytes(|b| format!("\\x{b:02X}"), ""),
        bytes(|b| format!("{b:02x}"), ":"),
        bytes(|b| format!("{b:02X}"), " "),
        bytes(|b| format!("{b:02x}"), "-"),
        bytes(|b| b.to_string(), ", "),
        chars(|c| format!("&#{c};")),
        chars(|c| format!("&#x{c:x};")),
        chars(|c| format!("&#x{c:X};")),
        CANARY
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
        percent.replace('%', "%25"),
        STANDARD.encode(STANDARD.encode(CANARY)),
        STANDARD.encode(format!("Bearer {}", STANDARD.encode(format!("user:{CANARY}:x")))),
        CANARY.to_uppercase(),
        format!("{{{}}}", places.join(",")),
    ];
    for form in forms {
        let around = format!("before {form} after");
        let clean = s.text(&around);
        assert!(
            clean.starts_with("before ") && clean.ends_with(" after"),
            "{clean}"
        );
        assert!(clean.contains("[secret TOKEN]"), "{form} -> {clean}");
        assert!(clean.len() < 80.max(form.len() / 3), "{form} -> {clean}");
    }
    let mut nested = CANARY.to_owned();
    for depth in 1..=5 {
        nested = serde_json::to_string(&nested).unwrap();
        nested = nested[1..nested.len() - 1].to_owned();
        assert_eq!(s.text(&nested), "[secret TOKEN]", "{depth}");
    }
}

#[test]
fn escapes_are_found_whichever_bytes_their_writer_keeps() {
    let s = scrubber(CANARY.as_bytes());
    // `quote` of Python's urllib keeps the slash, `quote_plus` writes a space as a plus; templates keep what they like
    for form in [
        "c4nary/%22K%C3%B6%26%3D%2B%20%3Cx%3E%27%5C%C3%A9%F0%9F%98%80%0A%21",
        "c4nary/%22K%C3%B6%26%3D%2B+%3Cx%3E%27%5C%C3%A9%F0%9F%98%80%0A%21",
        "c4nary%2f%22Kö%26=%2B%20%3Cx>'%5C%C3%a9😀%0a!",
        "c4nary/%2522K%25C3%25B6%2526%253D%252B%2520%253Cx%253E%2527%255C%25C3%25A9%25F0%259F%2598%2580%250A%2521",
    ] {
        assert_eq!(s.text(&format!("100% {form}%")), "100% [secret TOKEN]%", "{form}");
        assert!(s.find(form.as_bytes()).is_some(), "{form}");
    }
    assert_eq!(s.cut_text("at c4nary/%22K%C3%B"), "at [secret TOKEN]");
    for other in ["100%", "%22K%C3%B6", "c4nary/%23K"] {
        assert!(matches!(s.text(other), Cow::Borrowed(_)), "{other}");
    }
}

#[test]
fn base32_is_found_wherever_it_begins() {
    // RFC 4648, section 10, and the same text within another
    let s = scrubber(b"foobar");
    assert_eq!(s.text("MZXW6YTBOI======"), "[secret TOKEN]I======");
    assert!(s.find(b"mzxw6ytboi").is_some());
    // base32 of `xfoobary`, `xxfoobary`, `xxxfoobary`, `xxxxfoobary`
    for text in [
        "PBTG633CMFZHS===",
        "PB4GM33PMJQXE6I=",
        "PB4HQZTPN5RGC4TZ",
        "PB4HQ6DGN5XWEYLSPE======",
    ] {
        assert!(s.find(text.as_bytes()).is_some(), "{text}");
    }
}

#[test]
fn other_text_is_left_as_it_is() {
    let s = scrubber(CANARY.as_bytes());
    for text in ["", "c4nary", "nothing here", "[secret OTHER]", "\u{1F600}"] {
        assert!(matches!(s.text(text), Cow::Borrowed(same) if same == text));
    }
    assert_eq!(Scrubber::none().text(CANARY), CANARY);
    assert!(Scrubber::new([]).unwrap().is_none());
}

#[test]
fn json_stays_json() {
    let s = scrubber(b"123456789");
    for (from, to) in [
        (r#"{"a":123456789}"#, r#"{"a":"[secret TOKEN]"}"#),
        (r#"{"a":0.123456789}"#, r#"{"a":"0.[secret TOKEN]"}"#),
        (r#"{"a":"x123456789y"}"#, r#"{"a":"x[secret TOKEN]y"}"#),
        (r#"{"123456789":[1]}"#, r#"{"[secret TOKEN]":[1]}"#),
        (
            r#"[1,"987654321",{"b":"MTIzNDU2Nzg5"}]"#,
            r#"[1,"[secret TOKEN]",{"b":"[secret TOKEN]"}]"#,
        ),
        (r#"{"a": 1.50, "b":null}"#, r#"{"a": 1.50, "b":null}"#),
    ] {
        let clean = s.json(from.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(&clean).unwrap(), to);
    }
    assert!(s.json(b"{\"a\":123456789").is_none());
    // an array of the bytes themselves: the mark would stand in the middle of numbers
    assert!(s.json(b"[49,50,51,52,53,54,55,56,57]").is_none());
}

#[test]
fn the_cut_end_of_a_value_goes_too() {
    let s = scrubber(b"hunter2-and-more");
    assert_eq!(s.cut_text("log hunter2-an"), "log [secret TOKEN]");
    assert_eq!(s.cut_text("log hun"), "log hun");
    assert_eq!(s.cut_text("hunter2-and-more."), "[secret TOKEN].");
    assert_eq!(s.cut_text("nothing"), "nothing");
}

#[test]
fn the_longest_of_two_values_wins() {
    let (a, b): (SecretName, SecretName) = ("A".parse().unwrap(), "B".parse().unwrap());
    let (short, long) = (
        SecretValue::new("secret").unwrap(),
        SecretValue::new("secret-long").unwrap(),
    );
    let s = Scrubber::new([(&a, &short), (&b, &long)]).unwrap();
    assert_eq!(s.text("secret-long secret"), "[secret B] [secret A]");
    assert_eq!(s.find(b"xxsecret").map(SecretName::as_str), Some("A"));
}

proptest! {
    #[test]
    fn pieces_give_what_the_whole_gives(
        text in prop::collection::vec(prop::sample::select(vec!["hunter2-long", "hunter2", "hun", "ter2", "x", "aHVudGVyMi1sb25n", "hunter2%2Dlo%6Eg", "%2", "%", "\""]), 0..40),
        cuts in prop::collection::vec(0usize..400, 0..20),
    ) {
        static ONCE: std::sync::LazyLock<Scrubber> = std::sync::LazyLock::new(|| scrubber(b"hunter2-long"));
        let s = &*ONCE;
        let whole = text.concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(whole.len())).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let (mut scrub, mut out) = (s.stream(), Vec::new());
        for pair in cuts.windows(2) {
            scrub.push(&whole.as_bytes()[pair[0]..pair[1]], &mut out);
        }
        scrub.finish(&mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), s.text(&whole).into_owned());
        prop_assert!(!s.text(&whole).contains("hunter2-long"));
    }

}

proptest! {
    // each case makes an automaton of its own
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_byte_may_be_escaped_or_not(
        value in prop::collection::vec(any::<u8>(), 6..40),
        how in prop::collection::vec(0usize..5, 40),
    ) {
        let form: Vec<u8> = value
            .iter()
            .zip(how)
            .flat_map(|(b, how)| match how {
                0 => vec![*b],
                1 => format!("%{b:02X}").into_bytes(),
                2 => format!("%{b:02x}").into_bytes(),
                3 => format!("%25{b:02x}").into_bytes(),
                _ if b.is_ascii_alphanumeric() => vec![*b],
                _ => format!("%{b:02X}").into_bytes(),
            })
            .collect();
        // a `%` of the value that stands as it is may read as an escape of its own: that is another value
        prop_assume!(!value.contains(&b'%'));
        prop_assert!(scrubber(&value).find(&form).is_some());
    }

    #[test]
    fn any_value_is_found_in_any_neighbourhood(
        value in prop::collection::vec(any::<u8>(), 6..40),
        before in prop::collection::vec(any::<u8>(), 0..7),
        after in prop::collection::vec(any::<u8>(), 0..7),
    ) {
        let s = scrubber(&value);
        let whole = [before, value, after].concat();
        prop_assert!(s.find(&whole).is_some());
        prop_assert!(s.find(hex::encode(&whole).as_bytes()).is_some());
        prop_assert!(s.find(STANDARD.encode(&whole).as_bytes()).is_some());
        prop_assert!(s.find(URL_SAFE_NO_PAD.encode(&whole).as_bytes()).is_some());
        let text = String::from_utf8_lossy(&whole).into_owned();
        let clean = s.text(&text);
        prop_assert!(s.find(clean.as_bytes()).is_none());
    }
}
