//! neofn-sched
