//! The terminal as a guarded resource: modes, input, signals.
