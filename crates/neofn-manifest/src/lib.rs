//! neofn-manifest
