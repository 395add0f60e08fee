//! What was probably meant by a word that is not known.

/// The word of `known` that `word` was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (likeness(&word.to_lowercase(), &k.to_lowercase()), k))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// `, did you mean "x"?`, or nothing.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |k| format!(", did you mean \"{k}\"?"))
}

fn likeness(a: &str, b: &str) -> f64 {
    // Two letters that changed places count little in a short word, and are the commonest slip.
    let slip = if a.len() > 2 && strsim::osa_distance(a, b) == 1 { 0.85 } else { 0.0 };
    strsim::jaro_winkler(a, b).max(slip)
}
