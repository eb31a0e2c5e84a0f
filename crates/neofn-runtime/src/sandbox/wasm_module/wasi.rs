//! WASI preview 1, as little of it as a command needs: three streams, a clock that stands still, chance, exit.
//!
//! Every name of preview 1 is known, since C libraries and Go import more than they use; what is not given answers
//! an errno. There are no files, no sockets and no environment.

mod guest;
mod poll;
mod streams;
mod system;

use super::state::{State, Work, work};
use wasmtime::{Caller, Engine, FuncType, Linker, Val, ValType};

/// The import module of preview 1.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

/// The errno values that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Errno {
    Badf = 8,
    Fault = 21,
    Inval = 28,
    Nosys = 52,
    Spipe = 70,
}

/// What a function answers: 0, an errno, or the end of the run.
pub(super) type Answer = wasmtime::Result<Result<(), Errno>>;

/// A function that only answers: charged as a call, then done.
fn answered(
    mut caller: Caller<'_, State>,
    answer: impl FnOnce(&mut Caller<'_, State>) -> Result<(), Errno>,
) -> wasmtime::Result<i32> {
    work(&mut caller, Work::Call, 1)?;
    Ok(code(answer(&mut caller)))
}

fn code(answer: Result<(), Errno>) -> i32 {
    answer.map_or_else(|errno| i32::from(errno as u8), |()| 0)
}

/// Type of a function: `i` for i32, `I` for i64; all but `proc_exit` return an errno.
pub(super) struct Signature {
    name: &'static str,
    pub(super) params: &'static str,
    pub(super) returns: bool,
    given: Given,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Yes,
    /// Nothing can be opened, so no other descriptor than the three streams is one.
    NoDescriptor,
    No,
}

const fn f(name: &'static str, params: &'static str, given: Given) -> Signature {
    Signature {
        name,
        params,
        returns: true,
        given,
    }
}

/// All of preview 1.
const FUNCTIONS: &[Signature] = &[
    f("args_get", "ii", Given::Yes),
    f("args_sizes_get", "ii", Given::Yes),
    f("clock_res_get", "ii", Given::Yes),
    f("clock_time_get", "iIi", Given::Yes),
    f("environ_get", "ii", Given::Yes),
    f("environ_sizes_get", "ii", Given::Yes),
    f("fd_advise", "iIIi", Given::NoDescriptor),
    f("fd_allocate", "iII", Given::NoDescriptor),
    f("fd_close", "i", Given::Yes),
    f("fd_datasync", "i", Given::NoDescriptor),
    f("fd_fdstat_get", "ii", Given::Yes),
    f("fd_fdstat_set_flags", "ii", Given::Yes),
    f("fd_fdstat_set_rights", "iII", Given::NoDescriptor),
    f("fd_filestat_get", "ii", Given::Yes),
    f("fd_filestat_set_size", "iI", Given::NoDescriptor),
    f("fd_filestat_set_times", "iIIi", Given::NoDescriptor),
    f("fd_pread", "iiiIi", Given::NoDescriptor),
    f("fd_prestat_dir_name", "iii", Given::NoDescriptor),
    f("fd_prestat_get", "ii", Given::NoDescriptor),
    f("fd_pwrite", "iiiIi", Given::NoDescriptor),
    f("fd_read", "iiii", Given::Yes),
    f("fd_readdir", "iiiIi", Given::NoDescriptor),
    f("fd_renumber", "ii", Given::NoDescriptor),
    f("fd_seek", "iIii", Given::Yes),
    f("fd_sync", "i", Given::NoDescriptor),
    f("fd_tell", "ii", Given::Yes),
    f("fd_write", "iiii", Given::Yes),
    f("path_create_directory", "iii", Given::NoDescriptor),
    f("path_filestat_get", "iiiii", Given::NoDescriptor),
    f("path_filestat_set_times", "iiiiIIi", Given::NoDescriptor),
    f("path_link", "iiiiiii", Given::NoDescriptor),
    f("path_open", "iiiiiIIii", Given::NoDescriptor),
    f("path_readlink", "iiiiii", Given::NoDescriptor),
    f("path_remove_directory", "iii", Given::NoDescriptor),
    f("path_rename", "iiiiii", Given::NoDescriptor),
    f("path_symlink", "iiiii", Given::NoDescriptor),
    f("path_unlink_file", "iii", Given::NoDescriptor),
    f("poll_oneoff", "iiii", Given::Yes),
    Signature {
        name: "proc_exit",
        params: "i",
        returns: false,
        given: Given::Yes,
    },
    f("proc_raise", "i", Given::No),
    f("random_get", "ii", Given::Yes),
    f("sched_yield", "", Given::Yes),
    f("sock_accept", "iii", Given::No),
    f("sock_recv", "iiiiii", Given::No),
    f("sock_send", "iiiii", Given::No),
    f("sock_shutdown", "ii", Given::No),
];

/// The type of a function of preview 1.
pub(super) fn signature(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

/// The functions that every module is linked with.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    streams::define(&mut linker)?;
    system::define(&mut linker)?;
    poll::define(&mut linker)?;
    for function in FUNCTIONS {
        let errno = match function.given {
            Given::Yes => continue,
            Given::NoDescriptor => Errno::Badf,
            Given::No => Errno::Nosys,
        };
        let params = function
            .params
            .chars()
            .map(|l| if l == 'i' { ValType::I32 } else { ValType::I64 });
        let of_type = FuncType::new(engine, params, [ValType::I32]);
        linker.func_new(
            MODULE,
            function.name,
            of_type,
            move |mut caller: Caller<'_, State>, _, results| {
                work(&mut caller, Work::Call, 1)?;
                if let Some(result) = results.first_mut() {
                    *result = Val::I32(code(Err(errno)));
                }
                Ok(())
            },
        )?;
    }
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::super::config::WasmEngine;
    use super::*;

    #[test]
    fn every_function_is_defined_with_its_type() {
        let engine = WasmEngine::new(1).unwrap();
        let mut names: Vec<_> = FUNCTIONS.iter().map(|f| f.name).collect();
        names.dedup();
        assert_eq!(names.len(), 46);
        let imports: String = FUNCTIONS
            .iter()
            .map(|f| {
                let params = f
                    .params
                    .chars()
                    .map(|c| if c == 'i' { " i32" } else { " i64" })
                    .collect::<String>();
                let result = if f.returns { "(result i32)" } else { "" };
                let name = f.name;
                format!("(import \"{MODULE}\" \"{name}\" (func (param{params}) {result}))")
            })
            .collect();
        let module = format!("(module {imports} (memory (export \"memory\") 1) (func (export \"_start\")))");
        let artifact = super::super::compile(&wat::parse_str(module).unwrap(), 1 << 20).unwrap();
        super::super::WasmVersion::load(&engine, &artifact).unwrap();
    }
}
