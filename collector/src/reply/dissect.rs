//! What HAProxy does with an agent's reply, word by word, for authors of agents, raw replies and scripts. Pure.
//!
//! [`agentcheck_common::Reply::parse`] accepts only correct replies. Here every sequence of bytes has the meaning that
//! HAProxy gives it (`tcpcheck_agent_expect_connect` and `server_parse_weight_change_request` in its source, tried on
//! 1.8 to 3.5-dev5): what it ignores, what it complains about, and what it changes all the same.

mod describe;

pub use describe::describe;

use agentcheck_common::reply::{AdministrativeState, OperationalState};

/// The longest line that HAProxy accepts with its default `tune.bufsize`, its line end included, in bytes.
pub const MOST_BYTES: usize = 16_383;

/// The grammar of a version of HAProxy, which has changed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// HAProxy up to 3.0.
    UpTo30,
    /// HAProxy 3.1 and later, which knows `weight:`.
    Since31,
}

impl Reader {
    /// The grammar of a version, by its first two numbers.
    #[must_use]
    pub fn of(branch: (u32, u32)) -> Self {
        match branch >= (3, 1) {
            true => Self::Since31,
            false => Self::UpTo30,
        }
    }
}

/// One word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DissectedWord {
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Its meaning by itself.
    pub meaning: Meaning,
    /// Whether a later word of its category replaces it.
    pub superseded: bool,
}

/// The meaning of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The operational state.
    Operational(OperationalState),
    /// The administrative state.
    Administrative(AdministrativeState),
    /// A weight, or HAProxy's complaint about it.
    Weight(Result<Weight, &'static str>),
    /// A limit of connections, or HAProxy's complaint about it.
    Maxconn(Result<u32, &'static str>),
    /// HAProxy ignores it, and complains about the first one.
    Unknown,
}

/// A weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Per cent of the configured weight; 0 to 25600.
    Percent(u32),
    /// The weight itself; 0 to 256.
    Absolute(u32),
}

/// What HAProxy changes; `None` stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Effect {
    /// The operational state.
    pub operational: Option<OperationalState>,
    /// The administrative state.
    pub administrative: Option<AdministrativeState>,
    /// The weight.
    pub weight: Option<Weight>,
    /// The limit of connections; 0 is none.
    pub maxconn: Option<u32>,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a line end. HAProxy ignores this number of bytes after it.
    Whole(usize),
    /// There are no bytes at all.
    Nothing,
    /// Without a line end: all of it is ignored once the agent closes.
    NoNewline,
    /// A NUL comes before the line end: all of it is ignored.
    Nul,
    /// It does not fit into HAProxy's buffer: all of it is ignored.
    TooLong,
}

/// What HAProxy does with a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dissection {
    /// How the line ends.
    pub end: End,
    /// The words, in their order.
    pub words: Vec<DissectedWord>,
    /// The text after the `#`; empty without one.
    pub description: String,
    /// What HAProxy changes.
    pub effect: Effect,
    /// The agent's status in HAProxy's statistics; `None` where the previous one stays.
    pub status: Option<&'static str>,
    /// The text beside it.
    pub text: String,
}

/// Reads the bytes that an agent sends before it closes, as HAProxy does.
#[must_use]
pub fn dissect(bytes: &[u8], reader: Reader) -> Dissection {
    let end = end(bytes);
    let line = match end {
        End::Whole(after) => bytes.get(..bytes.len() - after).unwrap_or_default(),
        _ => bytes,
    };
    let line = line.strip_suffix(b"\n").or(line.strip_suffix(b"\r"));
    let (mut words, description) = split(line.unwrap_or(bytes), reader);
    supersede(&mut words);
    let mut dissection = Dissection {
        end,
        words,
        description,
        effect: Effect::default(),
        status: None,
        text: String::new(),
    };
    match end {
        End::Whole(_) => dissection.apply(),
        End::Nothing => dissection.status = Some("L7RSP"),
        End::NoNewline | End::Nul | End::TooLong => {
            "Ignoring incomplete line from agent".clone_into(&mut dissection.text);
        }
    }
    dissection
}

/// The first line end or NUL decides.
fn end(bytes: &[u8]) -> End {
    let stop = |byte: &u8| matches!(byte, b'\n' | b'\r' | 0);
    match bytes.iter().position(stop) {
        _ if bytes.is_empty() => End::Nothing,
        Some(at) if at >= MOST_BYTES => End::TooLong,
        None if bytes.len() >= MOST_BYTES => End::TooLong,
        None => End::NoNewline,
        Some(at) if bytes.get(at) == Some(&0) => End::Nul,
        Some(at) => End::Whole(bytes.len() - at - 1),
    }
}

/// The words of a line, and its description.
fn split(line: &[u8], reader: Reader) -> (Vec<DissectedWord>, String) {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|byte| separates(**byte)).count();
        rest = rest.get(blanks..).unwrap_or_default();
        match rest {
            [] => return (words, String::new()),
            [b'#', text @ ..] => {
                let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
                let blanks = text.iter().take_while(blank).count();
                let text = text.get(blanks..).unwrap_or_default();
                return (words, String::from_utf8_lossy(text).into_owned());
            }
            _ => {}
        }
        let length = rest.iter().take_while(|byte| !separates(**byte)).count();
        let (word, after) = rest.split_at_checked(length).unwrap_or((rest, b""));
        words.push(DissectedWord {
            text: String::from_utf8_lossy(word).into_owned(),
            meaning: meaning(word, reader),
            superseded: false,
        });
        rest = after;
    }
}

fn separates(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b',')
}

fn meaning(word: &[u8], reader: Reader) -> Meaning {
    let operational = [
        OperationalState::Up,
        OperationalState::Down,
        OperationalState::Stopped,
        OperationalState::Fail,
    ];
    let administrative = [
        AdministrativeState::Ready,
        AdministrativeState::Drain,
        AdministrativeState::Maint,
    ];
    let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    if let Some(state) = operational.into_iter().find(|state| is(state.word())) {
        return Meaning::Operational(state);
    }
    if let Some(state) = administrative.into_iter().find(|state| is(state.word())) {
        return Meaning::Administrative(state);
    }
    if word.first().is_some_and(u8::is_ascii_digit) && word.contains(&b'%') {
        return Meaning::Weight(weight(word));
    }
    if let Some(limit) = after(word, b"maxconn:") {
        return Meaning::Maxconn(maxconn(limit));
    }
    match after(word, b"weight:") {
        Some(number) if reader == Reader::Since31 => Meaning::Weight(weight(number)),
        _ => Meaning::Unknown,
    }
}

/// What follows `start` in a word, in any case of letters.
fn after<'w>(word: &'w [u8], start: &[u8]) -> Option<&'w [u8]> {
    let (begins, rest) = word.split_at_checked(start.len())?;
    begins.eq_ignore_ascii_case(start).then_some(rest)
}

fn weight(text: &[u8]) -> Result<Weight, &'static str> {
    if text.is_empty() {
        return Err("Require <weight> or <weight%>.");
    }
    let (number, rest) = strtol(text).ok_or("Empty weight string empty or preceded by garbage")?;
    match (u32::try_from(number), rest) {
        (Ok(percent), b"%") => Ok(Weight::Percent(percent.min(25_600))),
        (Err(_), b"%") if number > 0 => Ok(Weight::Percent(25_600)),
        (Err(_), b"%") => Err("Relative weight must be positive."),
        (Ok(weight @ 0..=256), b"") => Ok(Weight::Absolute(weight)),
        (Ok(0..=256), _) => Err("Trailing garbage in weight string"),
        _ => Err("Absolute weight can only be between 0 and 256 inclusive."),
    }
}

fn maxconn(text: &[u8]) -> Result<u32, &'static str> {
    if text.is_empty() {
        return Err("Require <maxconn>.");
    }
    let (number, rest) = strtol(text).ok_or("maxconn string empty or preceded by garbage")?;
    if !rest.is_empty() {
        return Err("Trailing garbage in maxconn string");
    }
    // It is stored as 32 bits without a sign: -1 becomes 4294967295.
    Ok(u32::try_from(number & 0xffff_ffff).unwrap_or(u32::MAX))
}

/// C's strtol with base 10: the number, saturated, and the rest; `None` without a number.
fn strtol(text: &[u8]) -> Option<(i64, &[u8])> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let (number, rest) = digits.split_at_checked(count.count())?;
    if number.is_empty() {
        return None;
    }
    let number = number.iter().fold(0_i64, |number, digit| {
        let number = number.saturating_mul(10);
        number.saturating_add(i64::from(*digit - b'0'))
    });
    Some((if negative { -number } else { number }, rest))
}

/// The last word of a category replaces the others, valid or not.
fn supersede(words: &mut [DissectedWord]) {
    let category = |word: &DissectedWord| match word.meaning {
        Meaning::Operational(_) => Some(0_usize),
        Meaning::Administrative(_) => Some(1),
        Meaning::Weight(_) => Some(2),
        Meaning::Maxconn(_) => Some(3),
        Meaning::Unknown => None,
    };
    let mut seen = [false; 4];
    for word in words.iter_mut().rev() {
        if let Some(seen) = category(word).and_then(|category| seen.get_mut(category)) {
            word.superseded = *seen;
            *seen = true;
        }
    }
}

impl Dissection {
    /// What a whole line changes, and what HAProxy shows of it.
    fn apply(&mut self) {
        let mut complaint = None;
        for word in self.words.iter().filter(|word| !word.superseded) {
            match &word.meaning {
                Meaning::Operational(state) => self.effect.operational = Some(*state),
                Meaning::Administrative(state) => self.effect.administrative = Some(*state),
                Meaning::Weight(weight) => self.effect.weight = weight.ok(),
                Meaning::Maxconn(limit) => self.effect.maxconn = limit.ok(),
                Meaning::Unknown => {}
            }
        }
        // Of two complaints about numbers, HAProxy shows that about the weight.
        for word in self.words.iter().filter(|word| !word.superseded) {
            match &word.meaning {
                Meaning::Weight(Err(wrong)) => complaint = Some(*wrong),
                Meaning::Maxconn(Err(wrong)) => complaint = complaint.or(Some(*wrong)),
                _ => {}
            }
        }
        let mut words = self.words.iter();
        let unknown = words.find(|word| word.meaning == Meaning::Unknown);
        let unknown = unknown.map(|word| word.text.as_str());
        let (status, text) = match self.effect.operational {
            Some(state) => {
                let up = state == OperationalState::Up;
                let described = Some(self.description.as_str()).filter(|text| !text.is_empty());
                // A server that goes down shows its description; otherwise HAProxy shows a mistake first.
                let why = if up {
                    unknown.or(complaint).or(described)
                } else {
                    described.or(unknown).or(complaint)
                };
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                let text = format!("via agent : {}{why}", self.written(state));
                (if up { "L7OK" } else { "L7STS" }, text)
            }
            None => {
                let text = match (unknown, complaint) {
                    (Some(word), _) => format!("agent reports an error : {word}"),
                    (None, Some(wrong)) => format!("agent warns : {wrong}"),
                    (None, None) => String::new(),
                };
                ("CHECKED", text)
            }
        };
        self.status = Some(status);
        self.text = text;
    }

    /// The word for a state as the line has it.
    fn written(&self, state: OperationalState) -> &str {
        let mut words = self.words.iter().rev();
        let word = words.find(|word| word.meaning == Meaning::Operational(state));
        word.map_or(state.word(), |word| &word.text)
    }
}
