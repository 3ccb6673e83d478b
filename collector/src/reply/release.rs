//! The last word for a service, when nobody is to speak for it any more. HAProxy goes on with what it was told
//! last, for ever; so that is that the server takes its full share.

use agentcheck_common::schedule::Schedule;
use agentcheck_common::{Administrative, Description, Maxconn, Operational, Percent, Reply};

/// The words that take back all that an agent has ever said in the way of `said`: that a server is ready
/// belongs to the operators, but where the agent had a word for it. `normal` is the limit of connections of a
/// server that nothing limits, where it was managed; `why` is the description, where replies have one.
#[must_use]
pub fn release_reply(said: &Reply, normal: Option<Maxconn>, why: &str) -> Reply {
    let why = if said.description.is_empty() {
        Description::NONE
    } else {
        Description::lossy(why)
    };
    Reply {
        operational: Some(Operational::Up),
        administrative: said.administrative.map(|_| Administrative::Ready),
        percent: Some(Percent::FULL),
        absolute: false,
        maxconn: normal,
        description: why,
    }
}

/// A word of each kind that a state file says at any time, as far as there is one.
#[must_use]
pub fn union_of_stages(schedule: &Schedule<'_>) -> Reply {
    let mut said = Reply::NOTHING;
    let mut moment = Some(schedule.from);
    // It says something from its beginning on, and nothing but replies.
    while let Some(Ok(picked)) = moment.map(|moment| schedule.pick(moment)) {
        if let Ok(reply) = Reply::parse(picked.line) {
            said.operational = said.operational.or(reply.operational);
            said.administrative = said.administrative.or(reply.administrative);
            said.percent = said.percent.or(reply.percent);
            said.maxconn = said.maxconn.or(reply.maxconn);
            if said.description.is_empty() {
                said.description = reply.description;
            }
        }
        moment = picked.until;
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_taken_back() {
        for (said, normal, last) in [
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
            let said = Reply::parse(said.as_bytes()).unwrap();
            let normal = normal.and_then(Maxconn::new);
            assert_eq!(release_reply(&said, normal, "gone").to_string(), last);
        }
    }

    #[test]
    fn a_word_of_any_stage_was_said() {
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
