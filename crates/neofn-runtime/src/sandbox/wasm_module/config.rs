//! The engine's configuration, the same for compiling and for running, and its identity.

use super::wasi;
use neofn_types::Digest;
use sha2::Digest as _;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, Linker, OptLevel, PoolingAllocationConfig};

/// Elements of all tables; 8 bytes each.
pub(super) const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Stack of compiled code. Far below the stack of the thread it runs on.
const STACK_BYTES: usize = 2 << 20;
/// Cleared in place after a call; what was written beyond is given back to the kernel.
const KEEP_RESIDENT_BYTES: usize = 64 << 10;
const MEMORY_BYTES_MAX: usize = 4 << 30;
const INSTANCE_BYTES_MAX: usize = 16 << 20;

/// Why an engine or a version could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum WasmLoadError {
    /// The artifact is not one of ours, or damaged.
    #[error("damaged WebAssembly artifact: {0}")]
    Damaged(&'static str),
    /// Another engine made it: it has to be compiled again.
    #[error("the artifact was made by engine {made_by}, this one is {this}")]
    OtherEngine {
        /// What the artifact says.
        made_by: Digest,
        /// This engine.
        this: Digest,
    },
    /// wasmtime could not load it.
    #[error("load WebAssembly artifact: {0:#}")]
    Engine(wasmtime::Error),
}

pub(super) fn config(slots: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots)
        .max_memories_per_module(1)
        .max_tables_per_module(1)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        // the same bits on every machine
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .memory_may_move(false)
        .max_wasm_stack(STACK_BYTES)
        // images would be memfds, which the jail does not let a process make
        .memory_init_cow(false);
    config
}

/// The artifact's first bytes: format and its version, which also changes with what host calls are charged.
pub(super) const MAGIC: &[u8; 8] = b"NFWASM\0\x03";

fn identity_of(engine: &Engine) -> Digest {
    struct Sha(sha2::Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Sha(sha2::Sha256::new());
    // covers wasmtime's version, the target with its features, and all settings that change code
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest::of_parts(&[MAGIC, &hasher.0.finalize()])
}

/// What compiles and runs modules here: wasmtime's version, its settings and the processor's features.
#[must_use]
pub fn identity() -> Digest {
    static IDENTITY: OnceLock<Option<Digest>> = OnceLock::new();
    let known = IDENTITY.get_or_init(|| Engine::new(&config(1)).ok().map(|e| identity_of(&e)));
    // An engine that cannot be made has no artifacts; `WasmEngine::new` says why.
    known.unwrap_or_else(|| Digest::of(b"no engine"))
}

/// Runs modules; one in each child.
#[derive(Clone)]
pub struct WasmEngine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<super::state::State>,
    pub(super) identity: Digest,
}

impl WasmEngine {
    /// An engine with room for `slots` calls at the same time.
    pub fn new(slots: u32) -> Result<Self, WasmLoadError> {
        let engine = Engine::new(&config(slots)).map_err(WasmLoadError::Engine)?;
        let linker = wasi::linker(&engine).map_err(WasmLoadError::Engine)?;
        let identity = identity_of(&engine);
        Ok(Self {
            engine,
            linker,
            identity,
        })
    }
    /// Lets running code look at its interrupt. To be called every 1 to 5 ms from a thread of its own.
    pub fn tick(&self) {
        self.engine.increment_epoch();
    }
}
