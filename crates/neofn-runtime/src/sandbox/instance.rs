//! One instance of the engine with its exports at hand, and the two wasmtime engines that make them.

use super::config;
use super::host::{self, HostState};
use std::fs::File;
use wasmtime::{
    Engine, Error, Global, InstancePre, Linker, Memory, Module, ModuleExport, Result, Store, TypedFunc,
    UpdateDeadline, Val,
};

/// An instance that can be called.
pub struct Instance {
    pub store: Store<HostState>,
    pub memory: Memory,
    pub stack_pointer: Global,
    /// (bytes of the event, seed of Math.random) -> done or parked
    pub start: TypedFunc<(u32, u64), u32>,
    /// (number of the host call, whether it failed, bytes of the reply) -> done or parked
    pub resume: TypedFunc<(u32, u32, u32), u32>,
    /// (bytes of the code, memory limit) -> 0 when ready
    pub load: TypedFunc<(u32, u32), u32>,
    /// () -> one past the heap
    pub heap_end: TypedFunc<(), u32>,
}

impl Instance {
    /// Sets the one global that changes.
    pub fn set_stack_pointer(&mut self, value: u32) -> Result<()> {
        self.stack_pointer
            .set(&mut self.store, Val::I32(value.cast_signed()))
    }
    /// The one global that changes.
    pub fn stack_pointer(&mut self) -> Option<i32> {
        self.stack_pointer.get(&mut self.store).i32()
    }
}

/// Instances of one allocation strategy.
pub struct Maker {
    pub engine: Engine,
    pre: InstancePre<HostState>,
    exports: Exports,
}

struct Exports {
    memory: ModuleExport,
    stack_pointer: ModuleExport,
    start: ModuleExport,
    resume: ModuleExport,
    load: ModuleExport,
    heap_end: ModuleExport,
}

impl Maker {
    /// Layout d3.
    pub fn pooled(module: &File, slots: u32) -> Result<Self> {
        Self::new(&config::pooled(slots), module)
    }
    /// Layout r1cow: memories of their own, to be mapped over.
    pub fn mapped(module: &File) -> Result<Self> {
        Self::new(&config::common(), module)
    }
    fn new(config: &wasmtime::Config, module: &File) -> Result<Self> {
        let engine = Engine::new(config)?;
        // SAFETY: the file was made by `artefact::build` of this very program and is kept where tenants cannot write.
        let module = unsafe { Module::deserialize_open_file(&engine, module.try_clone()?)? };
        let mut linker = Linker::new(&engine);
        host::link(&mut linker)?;
        let pre = linker.instantiate_pre(&module)?;
        let find = |name: &str| {
            module
                .get_export_index(name)
                .ok_or_else(|| Error::msg(format!("the guest exports no {name}")))
        };
        Ok(Self {
            exports: Exports {
                memory: find("memory")?,
                stack_pointer: find("__stack_pointer")?,
                start: find("start")?,
                resume: find("resume")?,
                load: find("load")?,
                heap_end: find("heap_end")?,
            },
            engine,
            pre,
        })
    }
    /// A new instance of the initialised engine.
    pub fn make(&self) -> Result<Instance> {
        let mut store = Store::new(&self.engine, HostState::loading());
        store.epoch_deadline_callback(|cx| {
            let due = cx.data().run.interrupt.as_ref().is_some_and(|i| i.is_due());
            Ok(if due {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Continue(1)
            })
        });
        store.set_epoch_deadline(1);
        let instance = self.pre.instantiate(&mut store)?;
        let x = &self.exports;
        let missing = || Error::msg("the guest's exports have other types");
        let memory = instance
            .get_module_export(&mut store, &x.memory)
            .and_then(wasmtime::Extern::into_memory)
            .ok_or_else(missing)?;
        let stack_pointer = instance
            .get_module_export(&mut store, &x.stack_pointer)
            .and_then(wasmtime::Extern::into_global)
            .ok_or_else(missing)?;
        store.data_mut().memory = Some(memory);
        let mut function = |export| {
            instance
                .get_module_export(&mut store, export)
                .and_then(wasmtime::Extern::into_func)
                .ok_or_else(missing)
        };
        let (start, resume) = (function(&x.start)?, function(&x.resume)?);
        let (load, heap_end) = (function(&x.load)?, function(&x.heap_end)?);
        Ok(Instance {
            start: start.typed(&store)?,
            resume: resume.typed(&store)?,
            load: load.typed(&store)?,
            heap_end: heap_end.typed(&store)?,
            memory,
            stack_pointer,
            store,
        })
    }
}
