//! neofn-client
