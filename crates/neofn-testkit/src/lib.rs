//! neofn-testkit
