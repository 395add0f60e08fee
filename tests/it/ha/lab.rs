//! See the title.
