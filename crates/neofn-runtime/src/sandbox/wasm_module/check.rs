//! What a module may be: validated before the compiler sees it, with errors for the person who built it.

use super::config::TABLE_ELEMENTS_MAX;
use super::{MODULE_BYTES_MAX, wasi};
use crate::port::Failure;
use neofn_gas::MEMORY_PAGE_BYTES as PAGE_BYTES;
use neofn_types::Code;
use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef, ValType, Validator, WasmFeatures};

/// Longest name that is repeated in a message.
const NAME_SHOWN: usize = 80;

fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::FLOATS
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::GC_TYPES
}

pub(super) fn refuse<T>(code: Code, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure {
        code,
        message: message.into(),
        stack: Vec::new(),
    })
}

fn invalid(error: &wasmparser::BinaryReaderError) -> Failure {
    Failure {
        code: Code::WasmInvalid,
        message: format!(
            "invalid WebAssembly module: {} (at offset {:#x})",
            error.message(),
            error.offset()
        ),
        stack: Vec::new(),
    }
}

/// Refuses what does not validate, asks for too much, or could not be called.
pub(super) fn module(bytes: &[u8], memory_bytes: u64) -> Result<(), Failure> {
    if bytes.len() > MODULE_BYTES_MAX {
        let message = format!(
            "the module has {} bytes, {MODULE_BYTES_MAX} are allowed",
            bytes.len()
        );
        return refuse(Code::SourceTooLarge, message);
    }
    if bytes.get(..4) != Some(b"\0asm") {
        return refuse(
            Code::WasmInvalid,
            "this is not a WebAssembly module: it does not begin with \\0asm",
        );
    }
    if Parser::is_component(bytes) {
        return refuse(
            Code::WasmInvalid,
            "this is a WebAssembly component; build a core module instead (target wasm32-wasip1)",
        );
    }
    Validator::new_with_features(features())
        .validate_all(bytes)
        .map_err(|e| invalid(&e))?;
    Shape::default().read(bytes, memory_bytes)
}

#[derive(Default)]
struct Shape {
    types: Vec<Option<FuncType>>,
    functions: Vec<u32>,
    memory_exported: bool,
    start: Option<u32>,
    table_elements: u64,
}

impl Shape {
    fn read(mut self, bytes: &[u8], memory_bytes: u64) -> Result<(), Failure> {
        for payload in Parser::new(0).parse_all(bytes) {
            self.payload(payload.map_err(|e| invalid(&e))?, memory_bytes)
                .map_err(|e| match e {
                    Problem::Read(e) => invalid(&e),
                    Problem::Refused(failure) => failure,
                })?;
        }
        if !self.memory_exported {
            return refuse(Code::WasmInvalid, "the module exports no memory named \"memory\"");
        }
        self.check_start()
    }

    fn payload(&mut self, payload: Payload<'_>, memory_bytes: u64) -> Result<(), Problem> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for sub in group?.into_types() {
                        self.types.push(match sub.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(f) => Some(f),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.import(&import?)?;
                }
            }
            Payload::FunctionSection(section) => {
                for of_type in section {
                    self.functions.push(of_type?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.table_elements = self.table_elements.saturating_add(table?.ty.initial);
                }
                let most = u64::try_from(TABLE_ELEMENTS_MAX).unwrap_or(u64::MAX);
                if self.table_elements > most {
                    let message = format!("tables of {} elements, {most} are allowed", self.table_elements);
                    return Err(Problem::refused(Code::WasmInvalid, message));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let initial = memory?.initial.saturating_mul(PAGE_BYTES);
                    if initial > memory_bytes {
                        let message = format!(
                            "the module starts with {initial} bytes of memory, but its limit is {memory_bytes}"
                        );
                        return Err(Problem::refused(Code::WasmMemory, message));
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    match (export.name, export.kind) {
                        ("memory", ExternalKind::Memory) => self.memory_exported = true,
                        ("_start", ExternalKind::Func) => self.start = Some(export.index),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: &wasmparser::Import<'_>) -> Result<(), Problem> {
        let shown = |name: &str| name.chars().take(NAME_SHOWN).collect::<String>();
        let name = format!("{}.{}", shown(import.module), shown(import.name));
        let TypeRef::Func(of_type) = import.ty else {
            let message = format!("the module imports {name}, which is no function");
            return Err(Problem::refused(Code::WasmImport, message));
        };
        let known = (import.module == wasi::MODULE)
            .then(|| wasi::signature(import.name))
            .flatten();
        let Some(signature) = known else {
            return Err(Problem::refused(
                Code::WasmImport,
                format!("the module imports {name}"),
            ));
        };
        let given = usize::try_from(of_type)
            .ok()
            .and_then(|i| self.types.get(i))
            .and_then(Option::as_ref);
        if !given.is_some_and(|given| signature.matches(given)) {
            let message = format!("the module imports {name} with another type than WASI preview 1 gives it");
            return Err(Problem::refused(Code::WasmImport, message));
        }
        self.functions.push(of_type);
        Ok(())
    }

    /// The entry point of a command: no parameters, no results.
    fn check_start(&self) -> Result<(), Failure> {
        let Some(start) = self.start else {
            return refuse(
                Code::WasmInvalid,
                "the module exports no function `_start`: build a command (a program with `main`), not a library",
            );
        };
        let of_type = usize::try_from(start).ok().and_then(|i| self.functions.get(i));
        let of_type = of_type
            .and_then(|t| usize::try_from(*t).ok())
            .and_then(|t| self.types.get(t));
        match of_type {
            Some(Some(f)) if f.params().is_empty() && f.results().is_empty() => Ok(()),
            _ => refuse(
                Code::WasmInvalid,
                "`_start` takes no parameters and gives no results",
            ),
        }
    }
}

impl wasi::Signature {
    fn matches(&self, given: &FuncType) -> bool {
        let is = |letter: char, of: &ValType| match letter {
            'i' => *of == ValType::I32,
            _ => *of == ValType::I64,
        };
        let results = usize::from(self.returns);
        self.params.len() == given.params().len()
            && self.params.chars().zip(given.params()).all(|(l, t)| is(l, t))
            && given.results().len() == results
            && given.results().iter().all(|t| *t == ValType::I32)
    }
}

enum Problem {
    Read(wasmparser::BinaryReaderError),
    Refused(Failure),
}
impl Problem {
    fn refused(code: Code, message: String) -> Self {
        Self::Refused(Failure {
            code,
            message,
            stack: Vec::new(),
        })
    }
}
impl From<wasmparser::BinaryReaderError> for Problem {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Read(error)
    }
}
