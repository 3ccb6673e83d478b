//! A plot as a line of characters.

/// A line of `width` block characters; each shows the last value of its part of the time.
#[must_use]
pub fn spark(points: &[(f64, f64)], time: (f64, f64), range: (f64, f64), width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    columns(points, time, width)
        .map(|value| match value {
            None => ' ',
            Some(value) => {
                let share = (value - range.0) / (range.1 - range.0).max(1e-12);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 7
                let level = (share.clamp(0.0, 1.0) * 7.0).round() as usize;
                BLOCKS.get(level).copied().unwrap_or(' ')
            }
        })
        .collect()
}

/// The value at the end of each of `width` equal parts of the time.
pub fn columns<T: Copy>(
    points: &[(f64, T)],
    time: (f64, f64),
    width: usize,
) -> impl Iterator<Item = Option<T>> {
    let mut rest = points.iter().peekable();
    let mut last = None;
    let parts = u32::try_from(width.max(1)).unwrap_or(1);
    (1..=parts).map(move |part| {
        let end = time.0 + (time.1 - time.0) * f64::from(part) / f64::from(parts);
        while let Some((_, value)) = rest.next_if(|(at, _)| *at <= end) {
            last = Some(*value);
        }
        last
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spark_keeps_the_last_value() {
        let points = [(2.0, 0.0), (5.0, 100.0), (9.0, 50.0)];
        assert_eq!(spark(&points, (0.0, 10.0), (0.0, 100.0), 10), " ▁▁▁████▅▅");
        assert_eq!(spark(&[], (0.0, 10.0), (0.0, 100.0), 3), "   ");
    }
}
