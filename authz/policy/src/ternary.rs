//! Kleene's three values.

/// Whether something holds; unknown is what a sign-in could still change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ternary {
    /// It does not hold.
    #[default]
    False,
    /// Nobody can tell yet.
    Unknown,
    /// It holds.
    True,
}

impl Ternary {
    /// True and false change places; unknown stays.
    #[must_use]
    pub const fn inverted(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }

    /// The value as a boolean; `None` if it is unknown.
    #[must_use]
    pub const fn known(self) -> Option<bool> {
        match self {
            Self::False => Some(false),
            Self::Unknown => None,
            Self::True => Some(true),
        }
    }
}

impl From<bool> for Ternary {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}
