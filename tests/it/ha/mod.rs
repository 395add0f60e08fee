//! High availability: the core, the simulation, the runtime, the lab, the faces, and real hosts in network namespaces.

mod core;
mod faces;
mod guard;
mod hosts;
mod lab;
mod monitor;
mod runtime;
mod sim;
mod world;
