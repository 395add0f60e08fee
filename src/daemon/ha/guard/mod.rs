//! The guard of the virtual addresses: a small process that owns them (F12).
