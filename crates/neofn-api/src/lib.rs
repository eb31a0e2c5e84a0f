//! neofn-api
