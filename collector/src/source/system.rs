//! The system source.
use super::{Deadline, Found, Stop, stopped};
use std::fmt;

/// `[source.NAME.system]`, `metric = "..."`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `cpu`: busy per cent (0 to 100) of all cores.
    Cpu,
    /// `memory`: per cent (0 to 100) in use.
    Memory,
    /// `load`: 1-minute load average per online core (1.0: one runnable task per core).
    Load,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Load];

    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Load => "load",
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug)]
pub(super) struct Sampler {
    metric: Metric,
}

impl Sampler {
    pub(super) fn new(metric: Metric) -> Self {
        Self { metric }
    }
    pub(super) fn poll(&mut self, _deadline: Deadline, _stop: &Stop) -> Found {
        let _ = self.metric;
        stopped().into()
    }
}
