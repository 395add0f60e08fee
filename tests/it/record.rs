//! Recordings: what is read back draws the same, no secret is in it, and nothing that was changed is believed (B6).

mod bundle;
pub mod codec;
mod play;
mod ring;
