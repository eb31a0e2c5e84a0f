//! Compiles the engine once: runs its initialisation, keeps the memory as its image, compiles it with that image inside.
//!
//! For a jailed compile child. Takes nothing from any tenant.

use super::config::{self, CONFIG_VERSION, LINEAR_BYTES, WASM_PAGE};
use super::host::{self, HostState};
use super::image::Base;
use super::pagemap::PAGE;
use neofn_types::Digest;
use std::sync::OnceLock;
use wasm_encoder::reencode::{self, Reencode};
use wasmtime::{Engine, Linker, Module, Store};

/// The guest as clang made it.
pub static GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine.wasm"));

/// What a sandbox child is started with.
pub struct EngineFiles {
    /// Machine code, for [`super::EngineOptions::module`]. Only for this machine and this build.
    pub module: Vec<u8>,
    /// The engine's memory image.
    pub base: Vec<u8>,
    /// What versions record.
    pub identity: Digest,
}

/// Why the engine could not be built: a defect of ours.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// From wasmtime.
    #[error("compile the JavaScript engine: {0:#}")]
    Compile(wasmtime::Error),
    /// From the rewriting.
    #[error("rewrite the JavaScript engine: {0}")]
    Rewrite(String),
    /// The guest said so.
    #[error("initialise the JavaScript engine: step {step}, {detail}")]
    Initialise {
        /// Which.
        step: u32,
        /// Why.
        detail: String,
    },
}

impl From<wasmtime::Error> for BuildError {
    fn from(e: wasmtime::Error) -> Self {
        Self::Compile(e)
    }
}

/// The engine's identity: the same on every machine that runs the same build of the guest.
#[must_use]
pub fn identity() -> Digest {
    static IDENTITY: OnceLock<Digest> = OnceLock::new();
    *IDENTITY.get_or_init(|| Digest::of_parts(&[GUEST, CONFIG_VERSION.as_bytes()]))
}

/// Compiles. Takes seconds, and more in an unoptimised build; the parent caches the files by identity and machine.
pub fn build() -> Result<EngineFiles, BuildError> {
    let base = initialise()?;
    let module = rewrite(GUEST, Some(&base))?;
    let engine = Engine::new(&config::common())?;
    Ok(EngineFiles {
        module: engine.precompile_module(&module)?,
        base: base.to_bytes(),
        identity: identity(),
    })
}

fn initialise() -> Result<Base, BuildError> {
    let engine = Engine::new(&config::bootstrap())?;
    let module = Module::new(&engine, rewrite(GUEST, None)?)?;
    let mut linker = Linker::new(&engine);
    host::link(&mut linker)?;
    let mut store = Store::new(&engine, HostState::loading());
    store.set_fuel(u64::MAX / 2)?;
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = linker.instantiate(&mut store, &module)?;
    let missing = |what: &str| BuildError::Rewrite(format!("the guest exports no {what}"));
    let memory = instance
        .get_memory(&mut store, "memory")
        .ok_or_else(|| missing("memory"))?;
    store.data_mut().memory = Some(memory);
    instance
        .get_typed_func::<(), ()>(&mut store, "_initialize")?
        .call(&mut store, ())?;
    let step = instance
        .get_typed_func::<(), u32>(&mut store, "init")?
        .call(&mut store, ())?;
    if step != 0 {
        let detail = format!("{:?}", store.data_mut().run.outcome.take());
        return Err(BuildError::Initialise { step, detail });
    }
    let stack_pointer = instance
        .get_global(&mut store, "__stack_pointer")
        .and_then(|g| g.get(&mut store).i32())
        .ok_or_else(|| missing("__stack_pointer"))?;
    Ok(Base::of_memory(
        memory.data(&store),
        stack_pointer.cast_unsigned(),
    ))
}

/// Gives the module its fixed memory, and `image` instead of its own data.
fn rewrite(wasm: &[u8], image: Option<&Base>) -> Result<Vec<u8>, BuildError> {
    struct Rewriter<'a>(Option<&'a Base>);
    impl Reencode for Rewriter<'_> {
        type Error = std::convert::Infallible;
        fn memory_type(
            &mut self,
            ty: wasmparser::MemoryType,
        ) -> Result<wasm_encoder::MemoryType, reencode::Error> {
            let mut ty = reencode::utils::memory_type(self, ty);
            let pages = (LINEAR_BYTES / WASM_PAGE) as u64;
            ty.minimum = pages;
            ty.maximum = Some(pages);
            Ok(ty)
        }
        fn parse_data_section(
            &mut self,
            data: &mut wasm_encoder::DataSection,
            section: wasmparser::DataSectionReader<'_>,
        ) -> Result<(), reencode::Error> {
            let Some(base) = self.0 else {
                return reencode::utils::parse_data_section(self, data, section);
            };
            // one dense segment, so that wasmtime can map it instead of copying
            let first = base
                .memory
                .chunks_exact(PAGE)
                .position(|p| p.iter().any(|b| *b != 0));
            let at = first.unwrap_or(0) * PAGE;
            let offset = i32::try_from(at).unwrap_or(0);
            let bytes = base.memory.get(at..).unwrap_or_default();
            data.active(
                0,
                &wasm_encoder::ConstExpr::i32_const(offset),
                bytes.iter().copied(),
            );
            Ok(())
        }
        fn data_count(&mut self, count: u32) -> Result<u32, reencode::Error> {
            Ok(if self.0.is_some() { 1 } else { count })
        }
        fn parse_custom_section(
            &mut self,
            _: &mut wasm_encoder::Module,
            _: wasmparser::CustomSectionReader<'_>,
        ) -> Result<(), reencode::Error> {
            Ok(())
        }
    }
    let mut module = wasm_encoder::Module::new();
    Rewriter(image)
        .parse_core_module(&mut module, wasmparser::Parser::new(0), wasm)
        .map_err(|e| BuildError::Rewrite(format!("{e:?}")))?;
    Ok(module.finish())
}
