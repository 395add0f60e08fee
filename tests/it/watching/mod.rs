//! The headless watch: its state, how it hands on what it tells, and the whole of it on a real lab (B5, D9, D10).

mod real;
mod store;
