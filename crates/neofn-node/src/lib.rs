//! neofn-node
