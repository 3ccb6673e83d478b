use super::*;
use proptest::prelude::*;

fn percent(number: u16) -> Percent {
    Percent::new(number).unwrap()
}

fn plain() -> Shaping {
    Shaping::default()
}

fn seconds(seconds: f64) -> BootTime {
    BootTime(0).after(Duration::from_secs_f64(seconds))
}

/// The replies for weights at times in seconds.
fn replies(shaping: &Shaping, input: &[(f64, f64)]) -> Vec<u16> {
    let mut memory = ShapeMemory::default();
    input
        .iter()
        .map(|(at, raw)| {
            shape(shaping, &mut memory, *raw, seconds(*at))
                .percent
                .get()
        })
        .collect()
}

#[test]
fn plain_weight_is_rounded_down_between_floor_and_ceiling() {
    let weights = [
        (0.0, 73.9),
        (1.0, 0.2),
        (2.0, -5.0),
        (3.0, 140.0),
        (4.0, 57.999_999_9),
    ];
    assert_eq!(replies(&plain(), &weights), [73, 1, 1, 100, 58]);
    let narrow = Shaping {
        ceiling: percent(80),
        floor: percent(20),
        ..plain()
    };
    assert_eq!(
        replies(&narrow, &[(0.0, 100.0), (1.0, 3.0), (2.0, 50.5)]),
        [80, 20, 50]
    );
}

#[test]
fn average_passes_63_percent_in_its_time_constant() {
    let shaping = Shaping {
        ewma: Some(Duration::from_secs(5)),
        ..plain()
    };
    assert_eq!(replies(&shaping, &[(0.0, 100.0), (5.0, 1.0)])[1], 37);
    let steps: Vec<(f64, f64)> = std::iter::once((0.0, 100.0))
        .chain([0.5, 0.7, 2.0, 3.1, 4.9, 5.0].map(|at| (at, 1.0)))
        .collect();
    assert_eq!(*replies(&shaping, &steps).last().unwrap(), 37);
    // It arrives.
    assert_eq!(replies(&shaping, &[(0.0, 1.0), (60.0, 100.0)]), [1, 100]);
}

#[test]
fn ramp_begins_at_its_share_and_ends_with_all() {
    let ramp = Ramp {
        window: Duration::from_secs(10),
        from: 10.0,
        aggression: 1.0,
    };
    let ramped = |ramp, at: f64| {
        let shaping = Shaping {
            ramp: Some(ramp),
            ..plain()
        };
        let mut memory = ShapeMemory::default();
        memory.begin_ramp(seconds(0.0));
        let shaped = shape(&shaping, &mut memory, 80.0, seconds(at));
        (shaped.percent.get(), shaped.moving)
    };
    assert_eq!(ramped(ramp, 0.0), (8, true));
    assert_eq!(ramped(ramp, 5.0), (40, true));
    assert_eq!(ramped(ramp, 10.0), (80, false));
    let eager = Ramp {
        aggression: 2.0,
        ..ramp
    };
    assert_eq!(ramped(eager, 2.5), (40, true));
}

#[test]
fn ramp_is_not_delayed_by_earlier_replies() {
    let shaping = Shaping {
        ramp: Some(Ramp {
            window: Duration::from_secs(10),
            from: 10.0,
            aggression: 1.0,
        }),
        max_rise: Some(1.0),
        max_fall: Some(1.0),
        dead_band: 5.0,
        ..plain()
    };
    let mut memory = ShapeMemory::default();
    shape(&shaping, &mut memory, 90.0, seconds(0.0));
    memory.begin_ramp(seconds(1.0));
    let shaped = shape(&shaping, &mut memory, 90.0, seconds(1.0));
    assert_eq!(shaped.percent.get(), 9);
}

#[test]
fn steps_are_points_a_second() {
    let shaping = Shaping {
        max_rise: Some(2.5),
        max_fall: Some(5.0),
        ..plain()
    };
    let weights = [
        (0.0, 50.0),
        (2.0, 10.0),
        (4.0, 100.0),
        (8.0, 100.0),
        (60.0, 100.0),
    ];
    assert_eq!(replies(&shaping, &weights), [50, 40, 45, 55, 100]);
}

#[test]
fn dead_band_is_ignored_only_at_the_ends() {
    let shaping = Shaping {
        dead_band: 3.0,
        ..plain()
    };
    let weights = [
        50.0, 52.0, 48.0, 53.0, 51.0, 98.0, 99.0, 100.0, 99.0, 2.0, 1.0,
    ];
    let weights: Vec<(f64, f64)> = (0..).map(f64::from).zip(weights).collect();
    let expected = [50, 50, 50, 53, 53, 98, 98, 100, 100, 2, 1];
    assert_eq!(replies(&shaping, &weights), expected);
}

#[test]
fn weight_continues_from_its_replacement() {
    let shaping = Shaping {
        max_rise: Some(2.0),
        ..plain()
    };
    let mut memory = ShapeMemory::default();
    shape(&shaping, &mut memory, 90.0, seconds(0.0));
    memory.replaced(percent(1), seconds(100.0));
    let shaped = shape(&shaping, &mut memory, 90.0, seconds(102.0));
    assert_eq!(shaped.percent.get(), 5);
}

prop_compose! {
    fn shapings()(
        smooth in prop::option::of(1_u64..1_000_000),
        sudden_fall in prop::option::of(1.0..100.0),
        ramp in prop::option::of((1_u64..1_000_000, 1.0..100.0, 0.01..100.0)),
        ends in (1_u16..=100, 1_u16..=100),
        steps in (prop::option::of(0.001..1000.0), prop::option::of(0.001..1000.0)),
        dead_band in 0.0..50.0,
    ) -> Shaping {
        Shaping {
            ewma: smooth.map(Duration::from_millis),
            sudden_fall,
            ramp: ramp.map(|(window, from, aggression)| Ramp {
                window: Duration::from_millis(window),
                from,
                aggression,
            }),
            floor: percent(ends.0.min(ends.1)),
            ceiling: percent(ends.0.max(ends.1)),
            max_rise: steps.0,
            max_fall: steps.1,
            dead_band,
        }
    }
}

/// Weights, each with the milliseconds before it: gaps of nothing, of a poll, and of weeks.
fn inputs() -> impl Strategy<Value = Vec<(u64, f64)>> {
    let gap = prop_oneof![Just(0), 1_u64..5_000, 1_u64..2_000_000_000];
    let weight = prop_oneof![
        0.0..100.0,
        any::<f64>(),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE)
    ];
    prop::collection::vec((gap, weight), 1..200)
}

proptest! {
    /// For every input at every time, with ramps between: never outside of floor and ceiling, and every stage is
    /// finite.
    #[test]
    fn never_outside_and_never_nan(
        shaping in shapings(),
        input in inputs(),
        ramp_at in prop::option::of(0_usize..200),
    ) {
        let mut memory = ShapeMemory::default();
        let mut now = BootTime(1);
        for (at, (gap, raw)) in input.into_iter().enumerate() {
            now = now.after(Duration::from_millis(gap));
            if ramp_at == Some(at) {
                memory.begin_ramp(now);
            }
            let shaped = shape(&shaping, &mut memory, raw, now);
            prop_assert!(shaped.percent >= shaping.floor && shaped.percent <= shaping.ceiling);
            for number in [shaped.smoothed, shaped.ramped, shaped.bounded, shaped.stepped] {
                prop_assert!(number.is_finite(), "{shaped:?}");
            }
            prop_assert!(memory.smoothed.is_none_or(|(number, _)| number.is_finite()));
        }
    }

    /// A constant input is a fixed point, at once and for ever.
    #[test]
    fn a_constant_is_a_fixed_point(
        shaping in shapings(),
        raw in 0.0..100.0,
        gaps in prop::collection::vec(0_u64..100_000, 1..100),
    ) {
        let mut memory = ShapeMemory::default();
        let mut now = BootTime(1);
        let first = shape(&shaping, &mut memory, raw, now);
        for gap in gaps {
            now = now.after(Duration::from_millis(gap));
            let shaped = shape(&shaping, &mut memory, raw, now);
            prop_assert_eq!(shaped.percent, first.percent);
            prop_assert!(!shaped.moving);
        }
    }

    /// After any history, a constant input is reached to within the dead band, and the reply stays.
    #[test]
    fn a_constant_is_reached(shaping in shapings(), input in inputs(), raw in 0.0..100.0) {
        let mut memory = ShapeMemory::default();
        let mut now = BootTime(1);
        for (gap, raw) in input {
            now = now.after(Duration::from_millis(gap));
            shape(&shaping, &mut memory, raw, now);
        }
        now = now.after(Duration::from_secs(1_000_000));
        shape(&shaping, &mut memory, raw, now);
        now = now.after(Duration::from_secs(1_000_000));
        let settled = shape(&shaping, &mut memory, raw, now);
        let floor = f64::from(shaping.floor.get());
        let ceiling = f64::from(shaping.ceiling.get());
        let target = (raw.clamp(floor, ceiling) + 1e-6).floor();
        let off = (f64::from(settled.percent.get()) - target).abs();
        prop_assert!(off == 0.0 || off < shaping.dead_band, "{settled:?}");
        prop_assert!(!settled.moving);
    }

    /// The dead band does not drift: a slowly moving weight is followed to within the band.
    #[test]
    fn a_dead_band_follows_what_creeps(band in 0.0..20.0, start in 1.0..100.0, by in -0.5..0.5) {
        let shaping = Shaping { dead_band: band, ..plain() };
        let mut memory = ShapeMemory::default();
        let mut raw: f64 = start;
        for second in 0..500 {
            let shaped = shape(&shaping, &mut memory, raw, seconds(f64::from(second)));
            let off = (f64::from(shaped.percent.get()) - raw.clamp(1.0, 100.0)).abs();
            prop_assert!(off < band.max(1.0) + 1.0, "{off} off with a band of {band}");
            raw += by;
        }
    }

    /// No step exceeds its rate, except for rounding to a whole percentage.
    #[test]
    fn no_step_is_too_large(
        up in 0.1..50.0,
        down in 0.1..50.0,
        input in prop::collection::vec((1_u64..10_000, 0.0..100.0), 1..100),
    ) {
        let shaping = Shaping { max_rise: Some(up), max_fall: Some(down), ..plain() };
        let mut memory = ShapeMemory::default();
        let mut now = BootTime(1);
        let mut before: Option<f64> = None;
        for (gap, raw) in input {
            now = now.after(Duration::from_millis(gap));
            let shaped = shape(&shaping, &mut memory, raw, now);
            let passed = Duration::from_millis(gap).as_secs_f64();
            if let Some(before) = before {
                prop_assert!(shaped.stepped <= before + up * passed + 1e-9);
                prop_assert!(shaped.stepped >= before - down * passed - 1e-9);
            }
            before = Some(shaped.stepped);
        }
    }
}

#[test]
fn sudden_fall_replaces_the_average_and_smaller_changes_do_not() {
    let shaping = Shaping {
        ewma: Some(Duration::from_secs(8)),
        sudden_fall: Some(30.0),
        ..plain()
    };
    let second = |seconds: u64| BootTime(seconds * 1_000_000_000);
    let mut memory = ShapeMemory::default();
    let mut at = |seconds, raw| shape(&shaping, &mut memory, raw, second(seconds)).smoothed;
    assert_eq!(at(0, 90.0), 90.0);
    // 30% of 90 is 27.
    assert!(at(1, 64.0) > 80.0);
    let average = at(2, 64.0);
    assert!(average > 78.0);
    assert_eq!(at(3, 40.0), 40.0);
    // A rise is never sudden.
    assert!(at(4, 100.0) < 50.0);
}
