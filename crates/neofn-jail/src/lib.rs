//! neofn-jail
