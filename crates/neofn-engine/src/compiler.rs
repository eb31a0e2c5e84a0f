//! The compiler port, answered by `neofn-compiler`.

use crate::port::{Compile, CompileRefusal, CompiledSource, Position, Positions, Source};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_compiler::source_map::SourceMap;
use neofn_compiler::{CompileError, CompileRequest, Compiler, SourceLimits, Stage, code_frame};

#[async_trait]
impl Compile for Compiler {
    async fn compile(&self, source: Source<'_>) -> Result<CompiledSource, CompileRefusal> {
        let request = CompileRequest {
            files: source.files.clone(),
            main: source.main.to_owned(),
            grants: source.grants.clone(),
            limits: SourceLimits::default(),
        };
        match Compiler::compile(self, request).await {
            Ok(compiled) => Ok(CompiledSource {
                code: Bytes::from(compiled.code),
                source_map: Bytes::from(compiled.source_map),
                warnings: compiled.warnings,
                calls: compiled.calls,
                validate: compiled.timings.validate,
                compile: compiled.timings.compile,
            }),
            Err(CompileError::Refused {
                stage,
                mut diagnostics,
            }) => {
                diagnostics.sort_by_key(|d| d.severity);
                Err(CompileRefusal::Rejected {
                    bundling: stage == Stage::Compile,
                    diagnostics,
                })
            }
            Err(CompileError::Unavailable(why)) => Err(CompileRefusal::Unavailable(why.into())),
            Err(CompileError::Failed(why)) => Err(CompileRefusal::Defect(why.into())),
        }
    }
    fn positions(&self, source_map: &[u8]) -> Option<Box<dyn Positions>> {
        let map = SourceMap::parse(std::str::from_utf8(source_map).ok()?);
        match map {
            Ok(map) => Some(Box::new(map)),
            Err(error) => {
                tracing::warn!(%error, "stored source map not readable");
                None
            }
        }
    }
    fn code_frame(&self, text: &str, line: u32, column: u32) -> String {
        code_frame(text, line, column, 1, "")
    }
}

impl Positions for SourceMap {
    fn lookup(&self, line: u32, column: u32) -> Option<Position> {
        let at = SourceMap::lookup(self, line, column)?;
        Some(Position {
            file: at.file,
            line: at.line,
            column: at.column,
            name: at.name,
        })
    }
}
