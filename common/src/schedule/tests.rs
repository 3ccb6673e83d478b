use super::*;

const FILE: &str = "agentcheck 1 web\n\
    boot 6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11\n\
    from 1000\n\
    until 2000 up 73% # rps=1890\n\
    until 3000 up 40%\n\
    then up 40% # stale\n";

fn name() -> ServiceName {
    ServiceName::parse(b"web").unwrap()
}

fn boot() -> BootId {
    BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap()
}

fn line_at(file: &str, now: u64) -> Result<&str, StateFileError> {
    Schedule::current_reply(file.as_bytes(), &name(), &boot(), BootTime(now))
        .map(|current| core::str::from_utf8(current.line).unwrap())
}

#[test]
fn first_stage_that_has_not_expired_is_current() {
    assert_eq!(line_at(FILE, 999), Err(StateFileError::Future));
    assert_eq!(line_at(FILE, 1000), Ok("up 73% # rps=1890"));
    assert_eq!(line_at(FILE, 1999), Ok("up 73% # rps=1890"));
    assert_eq!(line_at(FILE, 2000), Ok("up 40%"));
    assert_eq!(line_at(FILE, 2999), Ok("up 40%"));
    assert_eq!(line_at(FILE, 3000), Ok("up 40% # stale"));
    assert_eq!(line_at(FILE, u64::MAX), Ok("up 40% # stale"));
}

#[test]
fn reply_of_schedule_without_stages_never_expires() {
    let file = "agentcheck 1 web\nboot 6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11\nfrom 0\nthen drain\n";
    assert_eq!(line_at(file, 0), Ok("drain"));
}

#[test]
fn encoded_file_has_the_documented_format() {
    let reply = |line: &str| Reply::parse(line.as_bytes()).unwrap();
    let stages = [
        Stage {
            until: BootTime(2000),
            reply: reply("up 73% # rps=1890"),
        },
        Stage {
            until: BootTime(3000),
            reply: reply("up 40%"),
        },
    ];
    let file = encode(
        &name(),
        &boot(),
        BootTime(1000),
        &stages,
        &reply("up 40% # stale"),
    )
    .unwrap();
    assert_eq!(core::str::from_utf8(file.as_bytes()).unwrap(), FILE);
}

#[test]
fn invalid_schedules_are_not_encoded() {
    let up = Reply::parse(b"up").unwrap();
    let stage = |until| Stage {
        until: BootTime(until),
        reply: up,
    };
    let encode = |from, stages: &[Stage], then: &Reply| {
        super::encode(&name(), &boot(), BootTime(from), stages, then).err()
    };
    assert_eq!(
        encode(5, &[stage(5)], &up),
        Some(EncodeError::NotIncreasing(0))
    );
    assert_eq!(
        encode(5, &[stage(7), stage(7)], &up),
        Some(EncodeError::NotIncreasing(1))
    );
    assert_eq!(encode(5, &[], &Reply::EMPTY), Some(EncodeError::NoWords));
    let many: Vec<_> = (1..400).map(stage).collect();
    assert_eq!(encode(0, &many, &up), Some(EncodeError::TooLong));
}

#[test]
fn files_of_other_services_boots_and_versions_are_refused() {
    let other = FILE.replace(" web", " api");
    assert_eq!(line_at(&other, 1000), Err(StateFileError::OtherService));
    let other = FILE.replace("6e3f", "7e3f");
    assert_eq!(line_at(&other, 1000), Err(StateFileError::OtherBoot));
    let other = FILE.replace("agentcheck 1", "agentcheck 2");
    assert_eq!(line_at(&other, 1000), Err(StateFileError::Malformed));
}

#[test]
fn malformed_files_are_refused() {
    let cases: &[(&str, &str)] = &[
        ("from 1000", "from 01000"),
        ("from 1000", "from -1"),
        ("from 1000", "from "),
        ("from 1000", "from 99999999999999999999"),
        ("until 2000", "until 1000"),
        ("until 3000", "until 2000"),
        ("until 2000 up 73%", "until 2000"),
        ("until 2000 up 73%", "until 2000 "),
        ("until 2000", "until  2000"),
        ("until 2000", "Until 2000"),
        ("up 73%", "up 73"),
        ("up 73%", "# up 73%"),
        ("\nthen", "\n\nthen"),
        ("\nthen", "\r\nthen"),
        ("then up 40%", "then"),
        ("then up 40% # stale\n", ""),
        ("# stale\n", "# stale"),
        ("# stale\n", "# stale\n\n"),
        ("# stale\n", "# stale\nthen up\n"),
        ("agentcheck 1 web", "agentcheck 1 ../web"),
        ("agentcheck 1 web", "agentcheck 1  web"),
        ("agentcheck 1 web", "\u{feff}agentcheck 1 web"),
        ("boot 6", "boot \n6"),
    ];
    for (good, bad) in cases {
        let file = FILE.replacen(good, bad, 1);
        assert_ne!(file, FILE, "{good:?}");
        assert_eq!(
            line_at(&file, 1000),
            Err(StateFileError::Malformed),
            "{bad:?}"
        );
    }
    let long = format!("{FILE}{}", "x".repeat(MAX_FILE));
    assert_eq!(line_at(&long, 1000), Err(StateFileError::Malformed));
}

/// All schedules whose stages expire at times 0 to 6, at all times from 0 to 8.
#[test]
fn reply_is_that_of_the_first_stage_after_now() {
    let reply = |percent| Reply {
        percent: crate::Percent::new(percent),
        ..Reply::EMPTY
    };
    let times = 0..7_u64;
    for from in times.clone() {
        for set in 0..(1_u32 << 7) {
            let ends: Vec<u64> = times
                .clone()
                .filter(|time| set & (1 << time) != 0)
                .collect();
            let stages: Vec<Stage> = (0..)
                .zip(&ends)
                .map(|(index, end)| Stage {
                    until: BootTime(*end),
                    reply: reply(index),
                })
                .collect();
            let file = encode(&name(), &boot(), BootTime(from), &stages, &reply(99));
            let Ok(file) = file else {
                assert!(ends.first().is_some_and(|end| *end <= from));
                continue;
            };
            for now in 0..9 {
                let current =
                    Schedule::current_reply(file.as_bytes(), &name(), &boot(), BootTime(now));
                if now < from {
                    assert_eq!(current, Err(StateFileError::Future));
                    continue;
                }
                let index = ends.iter().position(|end| now < *end);
                let expected = index.map_or(99, |index| u16::try_from(index).unwrap());
                let current = current.unwrap();
                assert_eq!(Reply::parse(current.line), Ok(reply(expected)));
                assert_eq!(current.until, index.map(|index| BootTime(ends[index])));
            }
        }
    }
}

/// The test changes, removes, adds and moves bytes of a file. A probe then gets one whole reply, or a no-op reply.
#[test]
fn damaged_files_give_a_whole_reply_or_none() {
    // A linear congruential generator: the same damage in each run.
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut accepted = 0;
    let files = 20_000;
    for _ in 0..files {
        let mut file = FILE.as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(file.len());
            match random(6) {
                0 => file.truncate(at + 1),
                1 => file[at] ^= 1 << random(8),
                2 => drop(file.remove(at)),
                3 => file.insert(at, b"\n\0 %#9up\xff\x1b"[random(10)]),
                4 => file[at..].rotate_left(1),
                _ => file.extend_from_slice(&FILE.as_bytes()[at.min(FILE.len() - 1)..]),
            }
            file.truncate(MAX_FILE + 10);
            if file.is_empty() {
                file.push(b'\n');
            }
        }
        for now in [999, 1000, 2000, 3000, u64::MAX] {
            if let Ok(current) = Schedule::current_reply(&file, &name(), &boot(), BootTime(now)) {
                accepted += 1;
                assert!(Reply::parse(current.line).is_ok(), "{file:?}");
                assert!(!current.line.iter().any(u8::is_ascii_control), "{file:?}");
            }
        }
    }
    println!("attack: {files} damaged state files; {accepted} whole replies at five times of each");
    assert!(accepted > 0 && accepted < files * 5 / 2, "{accepted}");
}
