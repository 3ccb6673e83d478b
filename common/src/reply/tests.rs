use super::*;

fn rewritten(line: &str) -> String {
    Reply::parse(line.as_bytes()).unwrap().to_string()
}

#[test]
fn lines_are_parsed_as_haproxy_does() {
    for (line, canonical) in [
        ("up", "up"),
        ("UP", "up"),
        ("30% ready up", "up ready 30%"),
        ("up,ready,30%", "up ready 30%"),
        ("  up\t73% ", "up 73%"),
        ("up 300%", "up 300%"),
        ("050%", "50%"),
        ("up down", "down"),
        ("maint ready", "ready"),
        ("75%,maxconn:30,maint,down", "down maint 75% maxconn:30"),
        ("MaxConn:0", "maxconn:0"),
        ("up WEIGHT:073", "up weight:73"),
        ("weight:256 50%", "50%"),
        ("50% weight:0", "weight:0"),
        ("down 100% # disk full", "down 100% # disk full"),
        ("down #disk", "down # disk"),
        ("down #", "down"),
        ("up # a # b, c", "up # a # b, c"),
        ("stopped 100% #\t x", "stopped 100% # x"),
    ] {
        assert_eq!(rewritten(line), canonical, "{line:?}");
    }
}

#[test]
fn lines_that_haproxy_ignores_or_misreads_are_rejected() {
    use ReplyError::*;
    let unknown = |at, len| UnknownWord { at, len };
    for (line, error) in [
        ("", NoWords),
        (" ,\t", NoWords),
        ("# up", NoWords),
        ("down#x", unknown(0, 6)),
        ("up failed", unknown(3, 6)),
        ("stop", unknown(0, 4)),
        ("up;ready", unknown(0, 8)),
        ("50", unknown(0, 2)),
        ("-5%", unknown(0, 3)),
        ("%", unknown(0, 1)),
        ("50.5%", unknown(0, 5)),
        ("50%%", unknown(0, 4)),
        ("25601%", unknown(0, 6)),
        ("99999999999%", unknown(0, 12)),
        ("maxconn:", unknown(0, 8)),
        ("maxconn:-1", unknown(0, 10)),
        ("maxconn:30x", unknown(0, 11)),
        ("maxconn:2147483648", unknown(0, 18)),
        ("weight:257", unknown(0, 10)),
        ("weight:42%", unknown(0, 10)),
        ("weight:", unknown(0, 7)),
        ("\u{feff}down", unknown(0, 7)),
        ("up\0", unknown(0, 3)),
        ("up\n", unknown(0, 3)),
        ("up\r", unknown(0, 3)),
        ("up # \u{7f}", BadDescription),
        ("up # é", BadDescription),
        ("up # a\nb", BadDescription),
        ("up # a\n", BadDescription),
        ("up # a\r", BadDescription),
        ("up #\n", BadDescription),
    ] {
        assert_eq!(Reply::parse(line.as_bytes()), Err(error), "{line:?}");
    }
    let long = format!("up # {}", "x".repeat(101));
    assert_eq!(Reply::parse(long.as_bytes()), Err(BadDescription));
    let spaces = format!("up{}", " ".repeat(MAX_LINE));
    assert_eq!(Reply::parse(spaces.as_bytes()), Err(TooLong));
}

#[test]
fn zero_weight_drain_maint_and_down_take_the_server_out() {
    for (line, takes_server_out) in [
        ("up 100%", false),
        ("up ready 1%", false),
        ("maxconn:30", false),
        ("up 0%", true),
        ("down 100%", true),
        ("stopped", true),
        ("fail", true),
        ("up drain 100%", true),
        ("maint", true),
    ] {
        let reply = Reply::parse(line.as_bytes()).unwrap();
        assert_eq!(reply.takes_server_out(), takes_server_out, "{line}");
    }
}

#[test]
fn longest_reply_is_below_the_limit_of_a_line() {
    let reply = Reply {
        operational: Some(OperationalState::Stopped),
        administrative: Some(AdministrativeState::Ready),
        percent: Percent::new(Percent::MAX),
        absolute: false,
        maxconn: Maxconn::new(Maxconn::MAX),
        description: Description::lossy(&"x".repeat(200)),
    };
    let line = reply.to_string();
    assert_eq!(line.len(), 142);
    assert_eq!(Reply::parse(line.as_bytes()), Ok(reply));
}

#[test]
fn hostile_text_adds_no_line_and_no_word() {
    let text = "x\nmaint\r\n\0 \u{1b}[2J ü up # 0%";
    let reply = Reply {
        operational: Some(OperationalState::Up),
        description: Description::lossy(text),
        ..Reply::EMPTY
    };
    assert_eq!(reply.to_string(), "up # x?maint??? ?[2J ? up # 0%");
    assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
    assert!(Description::lossy(" \t\n ").is_empty());
}

#[test]
fn line_contains_the_parts_of_the_reply_in_order() {
    let operational = [
        None,
        Some(OperationalState::Up),
        Some(OperationalState::Stopped),
    ];
    let administrative = [
        None,
        Some(AdministrativeState::Ready),
        Some(AdministrativeState::Maint),
    ];
    let percents = [None, Percent::new(0), Percent::new(73), Percent::new(256)];
    let limits = [None, Maxconn::new(1), Maxconn::new(Maxconn::MAX)];
    for operational in operational {
        for administrative in administrative {
            for (percent, absolute) in percents.into_iter().flat_map(|p| [(p, false), (p, true)]) {
                for maxconn in limits {
                    for text in ["", "rps=1890 # x"] {
                        let reply = Reply {
                            operational,
                            administrative,
                            percent,
                            absolute,
                            maxconn,
                            description: Description::lossy(text),
                        };
                        let percent = percent.map(|percent| match absolute {
                            true => format!("weight:{}", percent.get()),
                            false => format!("{}%", percent.get()),
                        });
                        let parts = [
                            operational.map(|state| state.word().to_owned()),
                            administrative.map(|state| state.word().to_owned()),
                            percent,
                            maxconn.map(|limit| format!("maxconn:{}", limit.get())),
                            (!text.is_empty()).then(|| format!("# {text}")),
                        ];
                        let parts: Vec<String> = parts.into_iter().flatten().collect();
                        assert_eq!(reply.to_string(), parts.join(" "));
                    }
                }
            }
        }
    }
}
