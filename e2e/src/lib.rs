//! End-to-end tests: the real binary from outside. The tests are under `tests/`.
