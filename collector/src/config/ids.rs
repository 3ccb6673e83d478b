//! Positions in the lists of a configuration. Each list has its own type, so that no position is used in another
//! list.

/// A source: its position in [`super::Config::sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub usize);

/// A derived number: its position in [`super::Config::derived`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DerivedId(pub usize);

/// A source or a derived number: its position in [`super::Config::names`], where the sources come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputId(pub usize);

/// A service: its position in [`super::Config::services`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceId(pub usize);

impl InputId {
    /// The derived number `id` of a configuration with so many sources.
    #[must_use]
    pub const fn derived(id: DerivedId, sources: usize) -> Self {
        Self(sources + id.0)
    }

    /// The source, or else the derived number, of a configuration with so many sources.
    ///
    /// # Errors
    /// The derived number.
    pub const fn source(self, sources: usize) -> Result<SourceId, DerivedId> {
        match self.0.checked_sub(sources) {
            None => Ok(SourceId(self.0)),
            Some(derived) => Err(DerivedId(derived)),
        }
    }
}

impl From<SourceId> for InputId {
    fn from(id: SourceId) -> Self {
        Self(id.0)
    }
}
