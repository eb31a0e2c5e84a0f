//! How wasmtime is set up. Everything here that changes code or fuel is part of the engine's identity.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

/// Changes whenever a setting below changes what runs or what it is charged.
pub const CONFIG_VERSION: &str = "neofn-js-3 wasmtime-48.0.8 nan-canonical";

/// Wasm page.
pub const WASM_PAGE: usize = 64 << 10;
/// Most memory that a version may ask for.
pub const MEMORY_MAX: u64 = neofn_types::RuntimeKind::Js.memory_bytes_max();
/// Least memory that a version may ask for.
pub const MEMORY_MIN: u64 = 4 << 20;
/// The linear memory of every sandbox: the largest heap, the stack and the engine's own data.
/// One size serves all, because pages that are never touched cost nothing; the heap's limit is the guest's.
pub const LINEAR_BYTES: usize = (256 << 20) + (4 << 20);
/// What Wasm may use of the thread's stack. JavaScript meets its own limit in linear memory first, as a RangeError.
pub const WASM_STACK_BYTES: usize = 2 << 20;

/// What both layouts and the compiler share; code compiled for one loads in the others.
pub fn common() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .memory_may_move(false)
        .wasm_backtrace_max_frames(None);
    config
}

/// For running the engine once, to build its image: compiled fast, runs slowly, burns the same fuel.
pub fn bootstrap() -> Config {
    let mut config = common();
    config.cranelift_opt_level(OptLevel::None);
    // mapping the initial memory takes a memory file, which the jail of the compile child refuses
    config.memory_init_cow(false);
    config
}

/// Written pages that a pooled slot keeps, each to be rewritten after every later call whoever wrote it first:
/// enough for a small version and its call, few enough that a large one does not burden those after it.
const KEEP_RESIDENT: usize = 512 << 10;

/// For layout d3: slots that are reused, with the engine's image as their start.
pub fn pooled(slots: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots)
        .max_unused_warm_slots(slots)
        .max_memory_size(LINEAR_BYTES)
        .table_elements(20_000)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
