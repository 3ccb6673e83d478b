//! The most similar name, for "did you mean".

/// The name that is most similar to `wrong`: at most a third of the letters differ.
pub(crate) fn closest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= wrong.len().max(name.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's distance, in characters; two neighbours in the wrong order count once.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut before: Option<(char, Vec<usize>)> = None;
    for (at, left) in left.chars().enumerate() {
        let mut next = vec![at + 1];
        let mut insert = at + 1;
        for (column, ((diagonal, above), letter)) in
            row.iter().zip(row.iter().skip(1)).zip(&right).enumerate()
        {
            let replace = diagonal + usize::from(left != *letter);
            insert = replace.min(above + 1).min(insert + 1);
            let previous = column.checked_sub(1).and_then(|column| right.get(column));
            if let Some((other, earlier)) = &before
                && previous == Some(&left)
                && other == letter
                && let Some(swapped) = column.checked_sub(1).and_then(|column| earlier.get(column))
            {
                insert = insert.min(swapped + 1);
            }
            next.push(insert);
        }
        before = Some((left, std::mem::replace(&mut row, next)));
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_found() {
        for (wrong, name) in [
            ("drian", "drain"),
            ("hedroom", "headroom"),
            ("flor", "floor"),
            ("inetrval", "interval"),
        ] {
            assert_eq!(closest(wrong, [name, "maint"].into_iter()), Some(name));
        }
        assert_eq!(closest("xyz", ["drain"].into_iter()), None);
        assert_eq!(
            (
                distance("ab", "ba"),
                distance("", "abc"),
                distance("kitten", "sitting")
            ),
            (1, 3, 3)
        );
    }
}
