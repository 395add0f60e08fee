//! The HA core at work: sockets, timers, disk, guard, monitors and hooks.
