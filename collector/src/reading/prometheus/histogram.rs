//! Quantiles of Prometheus's histograms, by the formula of its `histogram_quantile`.

/// The value below which the share `quantile` (0 to 1) of the observations lies. `buckets` are upper bounds
/// (`le`) with cumulative counts, in any order. Observations are taken to be spread evenly within a bucket. The
/// lowest bucket begins at 0 if its bound is above 0. Observations without a bound count as the highest bound.
/// `None` without observations, or without the bucket `+Inf`.
#[must_use]
pub fn quantile(quantile: f64, mut buckets: Vec<(f64, f64)>) -> Option<f64> {
    buckets.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    let (last, total) = buckets.last().copied()?;
    if last != f64::INFINITY || !total.is_finite() || total <= 0.0 {
        return None;
    }
    let rank = quantile.clamp(0.0, 1.0) * total;
    let mut below: Option<(f64, f64)> = None;
    for (bound, count) in buckets {
        // A scrape during an update may show a larger bucket with a smaller count.
        let count = below.map_or(count, |(_, before)| count.max(before));
        if count >= rank {
            let (start, before) = match below {
                Some(below) => below,
                None if bound > 0.0 => (0.0, 0.0),
                None => return finite(bound),
            };
            if bound == f64::INFINITY {
                return finite(start);
            }
            let within = count - before;
            if within <= 0.0 {
                return finite(bound);
            }
            return finite(start + (bound - start) * ((rank - before) / within));
        }
        below = Some((bound, count));
    }
    None
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    fn of(q: f64, buckets: &[(f64, f64)]) -> Option<f64> {
        quantile(q, buckets.to_vec())
    }

    #[test]
    fn quantiles_are_as_prometheus_computes_them() {
        let buckets = [(0.1, 10.0), (0.5, 30.0), (1.0, 90.0), (INF, 100.0)];
        for (q, expected) in [
            (0.0, 0.0),
            (0.05, 0.05),
            (0.10, 0.1),
            (0.20, 0.3),
            (0.60, 0.75),
            (0.90, 1.0),
            // Above the highest bound only the bound is known.
            (0.99, 1.0),
            (1.0, 1.0),
        ] {
            let seen = of(q, &buckets).unwrap();
            assert!((seen - expected).abs() < 1e-12, "{q}: {seen}");
        }
        let mut turned = buckets;
        turned.reverse();
        assert_eq!(of(0.6, &turned), of(0.6, &buckets));
    }

    #[test]
    fn no_observations_have_no_quantile() {
        assert_eq!(of(0.5, &[]), None);
        assert_eq!(of(0.5, &[(1.0, 5.0)]), None);
        assert_eq!(of(0.5, &[(1.0, 0.0), (INF, 0.0)]), None);
        assert_eq!(of(0.5, &[(INF, 3.0)]), Some(0.0));
        assert_eq!(of(0.5, &[(1.0, 5.0), (INF, f64::NAN)]), None);
        // Buckets of different moments.
        assert_eq!(of(1.0, &[(1.0, 5.0), (2.0, 4.0), (INF, 5.0)]), Some(1.0));
    }
}
