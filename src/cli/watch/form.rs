//! A notice in the forms that sinks need.

use std::sync::Arc;

use crate::alerts::sinks::Telling;
use crate::domain::alert::Notice;
use crate::report::{self, lines};

/// Of a notice that could not be written down: after a restart its number may be another's, so its id is its own.
pub(super) fn unkept(state: &str, notice: Notice) -> Telling {
    let event_id = format!("{state}-{}-unkept-{}", notice.seq, notice.at.as_millis());
    form(event_id, notice)
}

/// The same for the same notice, whenever it is asked for. `state`: the random name of the state file.
pub(super) fn telling(state: &str, notice: Notice) -> Telling {
    form(format!("{state}-{}", notice.seq), notice)
}

fn form(event_id: String, notice: Notice) -> Telling {
    let json = report::line(&lines::alert(&notice, Some(&event_id)));
    let text = lines::alert_text(&notice);
    Telling { event_id, json: Arc::from(json.trim_end()), text: Arc::from(text.trim_end()), notice }
}
