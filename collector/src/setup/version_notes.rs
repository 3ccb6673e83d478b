//! Notes of `agentcheck check` on versions of HAProxy that a service is not safe with.

use crate::config::Service;
use crate::reply::haproxy_versions::{FactId, fact};
use crate::reply::state::WeightForm;

/// A line for each fact that concerns the replies of a service.
#[must_use]
pub fn version_notes(service: &Service) -> Vec<String> {
    let maxconn = service.maxconn.is_some().then_some(FactId::MaxconnDeadlock);
    let absolute = service.weight_form == WeightForm::Absolute;
    let absolute = absolute.then_some(FactId::WeightWordUnknown);
    let facts = [maxconn, absolute].into_iter().flatten().map(fact);
    let note = |fact: &crate::reply::haproxy_versions::Fact| {
        let name = service.name;
        format!(
            "service {name}: note: HAProxy {}: {}",
            fact.versions, fact.meaning
        )
    };
    facts.map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::path::Path;

    #[test]
    fn maxconn_and_absolute_weights_are_noted() {
        for (keys, parts) in [
            ("", &[][..]),
            (
                "maxconn = 30\nmaxconn_normal = 50\n",
                &["an agent's maxconn hangs"],
            ),
            (
                "weight_form = \"absolute\"\n",
                &["weight:N is an unknown word"],
            ),
        ] {
            let text = format!("[service.web]\n{keys}");
            let (config, _) = config::parse(Path::new("test"), &text).unwrap();
            let notes = version_notes(&config.services[0]);
            assert_eq!(notes.len(), parts.len(), "{notes:?}");
            for (note, part) in notes.iter().zip(parts) {
                assert!(
                    note.starts_with("service web: note: HAProxy ") && note.contains(part),
                    "{note}"
                );
            }
        }
    }
}
