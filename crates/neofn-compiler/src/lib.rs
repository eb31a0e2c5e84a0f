//! neofn-compiler
