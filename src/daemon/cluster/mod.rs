//! The cluster core: decides, and does nothing itself.
