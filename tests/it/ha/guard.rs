//! The guard of the virtual addresses (F12): its rules against a kernel that pauses anywhere, and the process itself in
//! network namespaces. Who holds is read from the kernel's events, never polled.

mod process;
mod rules;
