//! Fewer data segments. Go leaves out every run of zeros of its data and so writes tens of thousands of segments; the
//! start of an instance copies each with code of its own, which takes the compiler more memory than the rest of the
//! module. Neighbours are written as one segment, with the zeros between them. Says nothing of whether a module is valid.

use neofn_gas::MEMORY_PAGE_BYTES as PAGE_BYTES;
use std::borrow::Cow;
use wasm_encoder::{ConstExpr, DataSection, RawSection};
use wasmparser::{BinaryReaderError, Data, DataKind, DataSectionReader, Operator, Parser, Payload};

/// So many are left as they are.
const FEW: u32 = 64;
/// Most zeros written between two segments to make them one.
const GAP_BYTES: usize = 1024;

/// Where each begins, and its bytes.
type Runs = Vec<(u32, Vec<u8>)>;

/// The same module, as its instances see it. What cannot be merged without changing that is left alone: segments that
/// instructions name, that overlap, reach beyond the first memory's initial size, or have a computed offset.
pub(super) fn merged(module: &[u8]) -> Result<Cow<'_, [u8]>, BinaryReaderError> {
    let mut rewritten = wasm_encoder::Module::new();
    let mut memory_bytes = 0;
    let mut merged = false;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            // written only where instructions name segments by their index
            Payload::DataCountSection { .. } => return Ok(Cow::Borrowed(module)),
            Payload::MemorySection(section) => {
                if let Some(first) = section.clone().into_iter().next() {
                    memory_bytes = first?.initial.saturating_mul(PAGE_BYTES);
                }
            }
            Payload::DataSection(section) if section.count() > FEW => {
                let Some(runs) = runs(section, memory_bytes)? else {
                    return Ok(Cow::Borrowed(module));
                };
                let mut data = DataSection::new();
                for (offset, bytes) in runs {
                    data.active(0, &ConstExpr::i32_const(offset.cast_signed()), bytes);
                }
                rewritten.section(&data);
                merged = true;
                continue;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            let Some(data) = module.get(range) else {
                return Ok(Cow::Borrowed(module));
            };
            rewritten.section(&RawSection { id, data });
        }
    }
    Ok(if merged {
        Cow::Owned(rewritten.finish())
    } else {
        Cow::Borrowed(module)
    })
}

/// The segments with neighbours joined; nothing where that would not be the same.
fn runs(section: &DataSectionReader<'_>, memory_bytes: u64) -> Result<Option<Runs>, BinaryReaderError> {
    let mut segments = Vec::new();
    for segment in section.clone() {
        match placed(&segment?)? {
            Some(segment) => segments.push(segment),
            None => return Ok(None),
        }
    }
    segments.sort_unstable_by_key(|(offset, _)| *offset);
    let mut runs = Runs::new();
    let mut end = 0_usize;
    for (offset, bytes) in segments {
        let Ok(begin) = usize::try_from(offset) else {
            return Ok(None);
        };
        let Some(gap) = begin.checked_sub(end) else {
            return Ok(None);
        };
        end = begin.saturating_add(bytes.len());
        if u64::try_from(end).map_or(true, |end| end > memory_bytes) {
            return Ok(None);
        }
        match runs.last_mut() {
            Some((_, run)) if gap <= GAP_BYTES => {
                run.resize(run.len().saturating_add(gap), 0);
                run.extend_from_slice(bytes);
            }
            _ => runs.push((offset, bytes.to_vec())),
        }
    }
    Ok(Some(runs))
}

/// A segment of the first memory at a literal offset.
fn placed<'a>(segment: &Data<'a>) -> Result<Option<(u32, &'a [u8])>, BinaryReaderError> {
    let DataKind::Active {
        memory_index: 0,
        offset_expr,
    } = &segment.kind
    else {
        return Ok(None);
    };
    let mut expression = offset_expr.get_operators_reader();
    let offset = match (expression.read()?, expression.read()?) {
        (Operator::I32Const { value }, Operator::End) => value.cast_unsigned(),
        _ => return Ok(None),
    };
    Ok(Some((offset, segment.data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(segments: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Vec<u8> {
        let data: String = segments
            .into_iter()
            .map(|(at, bytes)| {
                let escaped: String = bytes.iter().map(|b| format!("\\{b:02x}")).collect();
                format!("(data (i32.const {at}) \"{escaped}\")")
            })
            .collect();
        wat::parse_str(format!(
            "(module (memory (export \"memory\") 1) (func (export \"_start\")) {data})"
        ))
        .unwrap()
    }

    /// What an instance's memory would hold.
    fn image(module: &[u8]) -> (usize, Vec<u8>) {
        let mut image = vec![0; 64 << 10];
        let mut count = 0;
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::DataSection(section) = payload.unwrap() {
                for segment in section {
                    let (at, bytes) = placed(&segment.unwrap()).unwrap().unwrap();
                    let at = usize::try_from(at).unwrap();
                    image[at..at + bytes.len()].copy_from_slice(bytes);
                    count += 1;
                }
            }
        }
        (count, image)
    }

    #[test]
    fn many_become_few_and_hold_the_same() {
        let many = module(
            (0..1_000)
                .rev()
                .map(|i| (i * 40, vec![1; 10]))
                .chain([(60_000, vec![2; 9])]),
        );
        let few = merged(&many).unwrap();
        wasmparser::validate(&few).unwrap();
        assert_eq!(image(&few).0, 2);
        assert_eq!(image(&few).1, image(&many).1);
    }

    #[test]
    fn what_would_not_be_the_same_is_left_alone() {
        let spread = || (0..100).map(|i| (i * 40, vec![1; 10]));
        let overlapping = module(spread().chain([(5, vec![3; 10])]));
        let beyond = module(spread().chain([(65_530, vec![3; 10])]));
        let few = module([(0, vec![1]), (4, vec![1])]);
        for module in [overlapping, beyond, few] {
            assert!(matches!(merged(&module).unwrap(), Cow::Borrowed(_)));
        }
    }
}
