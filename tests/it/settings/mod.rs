//! Settings: trees, the rules over them, the table of features, and their forms on the wire.

mod alone;
mod catalogue;
mod effects;
mod made;
mod practice;
mod references;
mod rules;
mod secrets;
mod transfer;
mod tree;
mod wire;
