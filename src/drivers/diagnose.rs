//! Why a peer can't be reached, step by step.
