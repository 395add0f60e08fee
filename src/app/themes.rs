//! Which theme is on: the one that was chosen in this session, else the cluster's, else the usual one.

/// The themes that can be chosen, by place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ThemeList {
    /// Their names.
    pub names: Vec<String>,
    /// The one where nothing else is said.
    pub usual: usize,
    /// Those that the fleet file gives to clusters, in its order.
    pub of_clusters: Vec<Option<usize>>,
}

impl ThemeList {
    /// The theme of the cluster at this place of the fleet, unless one was `chosen` that is still there.
    #[must_use]
    pub fn shown(&self, chosen: Option<&str>, cluster: usize) -> usize {
        let chosen = chosen.and_then(|name| self.names.iter().position(|n| n == name));
        chosen.or_else(|| self.of_clusters.get(cluster).copied().flatten()).unwrap_or(self.usual)
    }

    /// The name of the theme after the one at `place`.
    #[must_use]
    pub fn after(&self, place: usize) -> Option<&str> {
        self.names.get((place + 1) % self.names.len().max(1)).map(String::as_str)
    }
}
