//! High availability: the core, the simulation, the runtime, the lab, the faces, and real hosts in network namespaces.

mod core;
mod faces;
#[cfg(target_os = "linux")]
mod guard;
#[cfg(target_os = "linux")]
mod hosts;
mod lab;
#[cfg(target_os = "linux")]
mod mail;
mod monitor;
#[cfg(target_os = "linux")]
mod ns;
mod post;
mod runtime;
mod sim;
#[cfg(target_os = "linux")]
mod trial;
mod world;
