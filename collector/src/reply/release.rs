//! The release reply of a removed service: full weight. HAProxy keeps the effect of the last reply for ever, so
//! the last one must not keep a server out.

use agentcheck_common::schedule::Schedule;
use agentcheck_common::{
    AdministrativeState, Description, Maxconn, OperationalState, Percent, Reply,
};

/// The reply that reverts all words of `sent`. It contains `ready` only if `sent` has an administrative word.
/// `normal` is the connection limit of a server that nothing limits, if it is managed; `why` becomes the
/// description, if `sent` has one.
#[must_use]
pub fn release_reply(sent: &Reply, normal: Option<Maxconn>, why: &str) -> Reply {
    let why = if sent.description.is_empty() {
        Description::EMPTY
    } else {
        Description::lossy(why)
    };
    Reply {
        operational: Some(OperationalState::Up),
        administrative: sent.administrative.map(|_| AdministrativeState::Ready),
        percent: Some(Percent::FULL),
        absolute: false,
        maxconn: normal,
        description: why,
    }
}

/// A word of each kind from all stages of a state file.
#[must_use]
pub fn union_of_stages(schedule: &Schedule<'_>) -> Reply {
    let mut sent = Reply::EMPTY;
    let mut moment = Some(schedule.from);
    // A valid schedule has a stage for every moment since its beginning.
    while let Some(Ok(picked)) = moment.map(|moment| schedule.reply_at(moment)) {
        if let Ok(reply) = Reply::parse(picked.line) {
            sent.operational = sent.operational.or(reply.operational);
            sent.administrative = sent.administrative.or(reply.administrative);
            sent.percent = sent.percent.or(reply.percent);
            sent.maxconn = sent.maxconn.or(reply.maxconn);
            if sent.description.is_empty() {
                sent.description = reply.description;
            }
        }
        moment = picked.until;
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_reply_reverts_every_word() {
        for (sent, normal, last) in [
            ("up 0% # rule=drain", None, "up 100% # gone"),
            ("stopped 100%", None, "up 100%"),
            ("up drain 100%", None, "up ready 100%"),
            ("maint 100%", Some(30), "up ready 100% maxconn:30"),
            (
                "down 100% maxconn:5 # x",
                Some(30),
                "up 100% maxconn:30 # gone",
            ),
        ] {
            let sent = Reply::parse(sent.as_bytes()).unwrap();
            let normal = normal.and_then(Maxconn::new);
            assert_eq!(release_reply(&sent, normal, "gone").to_string(), last);
        }
    }

    #[test]
    fn words_of_all_stages_are_united() {
        let boot = "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";
        for (stages, all) in [
            ("then up 0%\n", "up 0%"),
            (
                "until 20 up drain 5%\nthen up 50% maxconn:3\n",
                "up drain 5% maxconn:3",
            ),
            (
                "until 20 5%\nuntil 30 down # x\nthen maint # y\n",
                "down maint 5% # x",
            ),
        ] {
            let file = format!("agentcheck 1 web\nboot {boot}\nfrom 10\n{stages}");
            let schedule = Schedule::decode(file.as_bytes()).unwrap();
            assert_eq!(union_of_stages(&schedule).to_string(), all, "{stages}");
        }
    }
}
