//! Settings of a unit of an HA group: written at its primary, the same on all units (F3, F4, F6; `10-peer.md`, "Modes").

use std::collections::BTreeSet;

use super::settings::Settings;
use super::{Core, Effect};
use crate::domain::ha::{Effective, HaStatus};
use crate::domain::ids::{FeatureName, HaName, MemberId, PeerId};
use crate::domain::settings::mirror::{is_shared, mirror};
use crate::domain::settings::{Catalogue, Edit, ModeId, Tree};
use crate::domain::text::Line;
use crate::domain::time::Time;

/// How this unit's settings belong together with those of its group, as the HA core sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    /// The group.
    pub group: HaName,
    /// The other units, as far as they were heard of.
    pub others: Vec<PeerId>,
    /// Whether this unit writes for all: it is the only primary.
    pub writes: bool,
    /// Who writes, if it is another that is known.
    pub primary: Option<PeerId>,
}

impl Share {
    /// As a unit's own status has it; `None`: it is off, and keeps its settings for itself.
    #[must_use]
    pub fn of(status: &HaStatus) -> Option<Self> {
        let is_primary = |role| matches!(role, Effective::Primary | Effective::ConfigPrimary);
        if status.effective == Effective::Off {
            return None;
        }
        let fellows = || status.heartbeats.iter().filter_map(|h| h.peer.as_ref().map(|peer| (peer, h.said)));
        let others: BTreeSet<&PeerId> = fellows().map(|(peer, _)| peer).collect();
        let primary = fellows().find(|(_, said)| said.is_some_and(|s| is_primary(s.effective))).map(|(peer, _)| peer);
        Some(Self {
            group: status.group.clone(),
            others: others.into_iter().cloned().collect(),
            writes: is_primary(status.effective) && primary.is_none(),
            primary: primary.cloned(),
        })
    }
}

impl Core {
    /// The HA core says who writes. `None`: this machine is in no group.
    pub(super) fn on_share(&mut self, share: Option<Share>) {
        if let Some(settings) = self.settings.as_mut().filter(|s| s.share != share) {
            settings.share = share;
            settings.unlike = true;
        }
    }

    /// A person wants the group in step now (F4): its units say everything once more, and are made alike.
    pub(super) fn on_sync_share(&mut self, now: Time) {
        let Some(settings) = &mut self.settings else { return };
        let Some(share) = settings.share.clone() else { return };
        settings.unlike = true;
        for other in &share.others {
            settings.say_again(other);
        }
        self.log.push(now, None, &format!("HA group {}: the configuration is synchronised", share.group));
    }

    /// Makes the other units like this one, if it writes for all. Runs when nothing else waits for the disk.
    pub(super) fn make_alike(&mut self, now: Time, out: &mut Vec<Effect>) {
        let me = self.config.id.clone();
        let Some(settings) = self.settings.as_mut().filter(|s| s.unlike) else { return };
        settings.unlike = false;
        let Some(share) = settings.share.clone().filter(|s| s.writes) else { return };
        let tree = settings.tree().clone();
        let member = |id: &PeerId| tree.structure().member_of(id).map(|m| m.id.clone());
        let Some(own) = member(&me) else { return };
        let others: Vec<MemberId> = share.others.iter().filter_map(member).collect();
        let edits = mirror(&tree, settings.catalogue(), &own, &others);
        if edits.is_empty() {
            return;
        }
        let n = edits.len();
        let comment = Line::new(&format!("HA group {}: as on its primary", share.group));
        match self.commit_edits(&Line::new("ha"), &comment, &edits) {
            Ok((batch, _)) => {
                self.log.push(now, None, &format!("{comment}: {n} settings of the other units"));
                self.keep(batch, None, out);
            }
            Err(why) => self.log.push(now, None, &format!("{comment}: not written: {why}")),
        }
    }
}

/// Why this unit does not take `edits`: the group's primary writes what its units share.
pub(super) fn refusal(
    settings: &Settings,
    tree: &Tree,
    me: &PeerId,
    edits: &[Edit],
    name: impl Fn(&PeerId) -> String,
) -> Option<String> {
    let share = settings.share.as_ref()?;
    if share.writes {
        return stray(settings, share, tree, edits, &name(me));
    }
    let own = tree.structure().member_of(me).map(|m| ModeId::Machine(m.id.clone()));
    let shared = edits.iter().find_map(|edit| shared(settings.catalogue(), own.as_ref(), edit))?;
    let at = match &share.primary {
        Some(primary) => format!("write at {}, its primary", name(primary)),
        None => "no primary is heard: restore one first".to_owned(),
    };
    Some(format!("HA secondary can't set attribute {shared}: group {} shares it; {at}", share.group))
}

/// What this unit would write for another of its group, and make like its own a moment later.
fn stray(settings: &Settings, share: &Share, tree: &Tree, edits: &[Edit], me: &str) -> Option<String> {
    let others: Vec<ModeId> = share
        .others
        .iter()
        .filter_map(|id| tree.structure().member_of(id).map(|m| ModeId::Machine(m.id.clone())))
        .collect();
    let strays =
        |(mode, feature): &(&ModeId, &FeatureName)| others.contains(mode) && is_shared(settings.catalogue(), feature);
    let (_, feature) = edits.iter().filter_map(Edit::feature).find(strays)?;
    Some(format!("HA group {} shares {feature}: set it for {me}, its primary, and all its units have it", share.group))
}

/// The word for what of `edit` the group shares; `None`: it is this machine's own affair.
fn shared(catalogue: &Catalogue, own: Option<&ModeId>, edit: &Edit) -> Option<String> {
    let Some((mode, feature)) = edit.feature() else { return Some(edit.word().to_owned()) };
    (Some(mode) != own || is_shared(catalogue, feature)).then(|| feature.to_string())
}
