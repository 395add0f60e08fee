//! State of the console: messages in, commands out; no I/O.
