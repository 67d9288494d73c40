//! System tests on a real kernel: they live under `tests/`, one target for each layer.
#![forbid(unsafe_code)]
