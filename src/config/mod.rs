//! Files that people write: fleet, later keymap and themes.
