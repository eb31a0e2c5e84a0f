//! Matching blocks, events and time against triggers.
//!
//! Pure: takes blocks and times, gives matches. Whoever reads the chain and keeps the cursor stands above.
