//! neofn-store-sqlite
