//! Monitors: services that are really spoken to, and the disk (F10, F11).
