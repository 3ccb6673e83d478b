//! The most similar name, for "did you mean".

/// The name that is most similar to `wrong`: at most a third of the letters differ.
pub(crate) fn closest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= wrong.len().max(name.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's distance, in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left) in left.chars().enumerate() {
        let mut next = vec![at + 1];
        let mut insert = at + 1;
        for ((diagonal, above), right) in row.iter().zip(row.iter().skip(1)).zip(&right) {
            let replace = diagonal + usize::from(left != *right);
            insert = replace.min(above + 1).min(insert + 1);
            next.push(insert);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
