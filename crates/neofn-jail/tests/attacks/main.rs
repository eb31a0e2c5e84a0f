//! Attacks on the jail from inside, and the legitimate work that it must allow.
//!
//! The test binary executes itself as the jailed role, so `main` confines while there is one thread; hence no
//! standard harness. `protocol` speaks to cargo test and nextest in its place.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::exit,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test without the standard harness: clippy does not see that it is one"
)]

mod attacks;
mod legitimate;
mod lifetime;
mod protocol;
mod role;

fn main() -> std::process::ExitCode {
    if std::env::var_os(role::ROLE).is_some() {
        role::main();
        return std::process::ExitCode::SUCCESS;
    }
    protocol::run(&[
        ("control_without_a_jail", attacks::control),
        ("all_layers_stop_every_attack", attacks::all_layers),
        (
            "landlock_and_seccomp_stop_every_attack",
            attacks::landlock_and_seccomp,
        ),
        ("seccomp_alone_refuses_every_call", attacks::seccomp_alone),
        (
            "namespaces_alone_hide_files_network_processes",
            attacks::namespaces_alone,
        ),
        (
            "landlock_alone_denies_files_ports_signals",
            attacks::landlock_alone,
        ),
        ("work_with_all_layers", legitimate::all_layers),
        ("work_without_namespaces", legitimate::without_namespaces),
        ("permissions_of_the_policy", legitimate::permissions),
        ("compiler_limits", lifetime::compiler_limits),
        ("exit_status_and_signals_are_forwarded", lifetime::forwarded),
        ("killing_the_shim_kills_the_child", lifetime::kill_the_shim),
        ("killing_the_child_ends_the_shim", lifetime::kill_the_child),
        ("death_of_the_parent_kills_both", lifetime::parent_dies),
        ("fails_closed_below_the_required_tier", lifetime::fails_closed),
        ("refuses_when_threads_run", lifetime::refuses_threads),
        ("probe_leaves_this_process_alone", lifetime::probe_is_harmless),
    ])
}
