//! A compiler over this crate's own child binary.
#![allow(
    dead_code,
    clippy::panic,
    clippy::allow_attributes,
    reason = "each test file uses a part; a test may panic"
)]

use neofn_compiler::{
    CompileError, CompileRequest, Compiled, Compiler, CompilerOptions, SourceLimits, Stage,
};
use neofn_types::{Diagnostic, Grants};
use std::time::Duration;

pub fn options() -> CompilerOptions {
    CompilerOptions {
        args: Vec::new(),
        // CPU time is what bounds a child; a busy machine may take its time.
        time_max: Duration::from_secs(120),
        ..CompilerOptions::new(env!("CARGO_BIN_EXE_neofn-compiler-child").into())
    }
}

pub fn compiler() -> Compiler {
    Compiler::new(options())
}

pub fn project(main: &str, files: &[(&str, &str)]) -> CompileRequest {
    CompileRequest {
        files: files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect(),
        main: main.to_owned(),
        grants: Grants::default(),
        limits: SourceLimits::default(),
    }
}

pub async fn compile(request: CompileRequest) -> Compiled {
    match compiler().compile(request).await {
        Ok(compiled) => compiled,
        Err(CompileError::Refused { stage, diagnostics }) => panic!("refused at {stage}: {diagnostics:#?}"),
        Err(other) => panic!("{other}"),
    }
}

pub async fn refusal(request: CompileRequest) -> (Stage, Vec<Diagnostic>) {
    match compiler().compile(request).await {
        Err(CompileError::Refused { stage, diagnostics }) => (stage, diagnostics),
        Err(other) => panic!("not refused but: {other}"),
        Ok(compiled) => panic!(
            "compiled to {} bytes: {:.200}",
            compiled.code.len(),
            compiled.code
        ),
    }
}

pub fn codes(diagnostics: &[Diagnostic]) -> Vec<&'static str> {
    diagnostics.iter().map(|d| d.code.as_str()).collect()
}
