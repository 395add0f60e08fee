//! Commands for the HA core of this machine: they come like all others, and are answered when it has decided.

use super::settings::Asker;
use super::{Core, Effect};
use crate::domain::command::OutcomeState;
use crate::domain::ha::{Effective, HaAct};
use crate::domain::text::{Line, clean};
use crate::domain::time::Time;
use crate::proto::rpc::{ExecuteParams, ExecuteResult};

/// Questions to the HA core that may be open.
const OPEN_MAX: usize = 64;

impl Core {
    /// Passes a command on to the HA core, or says why not.
    pub(super) fn on_ha(&mut self, now: Time, asker: Asker, by: &Line, params: &ExecuteParams, out: &mut Vec<Effect>) {
        let act = params.act.as_deref().unwrap_or_default();
        let Ok(act) = act.parse::<HaAct>() else {
            let why = format!("this peer knows no HA action \"{}\"", clean(act, 40));
            return self.answer_commit(now, asker, Err(why), out);
        };
        if self.ha_asked.len() >= OPEN_MAX {
            let why = format!("{OPEN_MAX} HA commands wait for their answers already");
            return self.answer_commit(now, asker, Err(why), out);
        }
        // A role of a later version can't be the one that this unit is in: it then refuses by the epoch.
        let basis = params.basis.ha.as_ref().map(|(role, epoch)| (role.parse().unwrap_or(Effective::Off), *epoch));
        self.ha_request += 1;
        let request = self.ha_request;
        self.ha_asked.insert(request, asker);
        out.push(Effect::Ha { request, act, by: by.clone(), reason: Line::new(&params.reason), basis });
    }

    /// What the HA core said.
    pub(super) fn on_ha_answered(
        &mut self,
        now: Time,
        request: u64,
        result: Result<String, String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(asker) = self.ha_asked.remove(&request) else { return };
        let state = <&str>::from(OutcomeState::Accepted).to_owned();
        let result = result.map(|detail| ExecuteResult { state, detail, commit: None });
        self.answer_commit(now, asker, result, out);
    }
}
