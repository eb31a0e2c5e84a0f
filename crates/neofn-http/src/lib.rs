//! neofn-http
