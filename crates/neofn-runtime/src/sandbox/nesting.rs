//! How deep JSON is nested.

/// Of a result, as for events.
pub const DEPTH_MAX: u32 = 128;

/// The deepest nesting of valid JSON, ignoring brackets in strings.
pub fn depth(json: &[u8]) -> u32 {
    let (mut depth, mut most) = (0u32, 0u32);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}
