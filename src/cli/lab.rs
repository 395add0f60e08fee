//! `lab` and `lab fault`.

use super::args::{Fault, Lab as Args};
use super::{Context, Done};

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Done> {
    let _ = (context, args);
    anyhow::bail!("the lab is not in this build")
}

pub fn fault(context: &Context, args: &Fault) -> anyhow::Result<Done> {
    let _ = (context, args);
    anyhow::bail!("the lab is not in this build")
}
