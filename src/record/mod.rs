//! The picture over time, on disk: the ring that the console looks back into, recordings, and signed incident files
//! (B6).
