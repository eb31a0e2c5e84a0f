//! What must hold for any text and any number.

use neofn_compiler::code_frame;
use neofn_compiler::source_map::SourceMap;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_frame_is_short_and_plain(source in "(?s).{0,3000}", line in 0_u32..50, column in 0_u32..4000, length in any::<u32>(), message in "(?s).{0,300}") {
        let frame = code_frame(&source, line, column, length, &message);
        prop_assert!(frame.lines().count() <= 5);
        prop_assert!(frame.chars().count() < 1000);
        prop_assert!(frame.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn a_source_map_of_anything_is_read_or_refused(mappings in "[A-Za-z0-9+/,;]{0,300}", line in any::<u32>(), column in any::<u32>()) {
        let json = format!("{{\"version\":3,\"sources\":[\"a.ts\",null],\"names\":[\"n\"],\"mappings\":\"{mappings}\"}}");
        if let Ok(map) = SourceMap::parse(&json) {
            let _ = map.lookup(line, column);
            let _ = map.lookup(1, 1);
        }
    }

    #[test]
    fn damaged_json_is_no_panic(text in "(?s).{0,200}") {
        let _ = SourceMap::parse(&text);
    }
}
