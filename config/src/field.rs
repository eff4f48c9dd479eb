//! The way to a field of the configuration, as cheap as it gets: it is walked only when something is wrong.

use std::fmt;

/// Where a value stands: `routes[3].to`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field<'a> {
    /// The whole file.
    Root,
    /// Under a key of a mapping.
    Key(&'a Self, &'a str),
    /// In a list.
    Index(&'a Self, usize),
}

/// One step of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Under a key of a mapping.
    Key(&'a str),
    /// In a list.
    Index(usize),
}

impl<'a> Field<'a> {
    /// The value under `name` of this mapping.
    pub(crate) const fn key(&'a self, name: &'a str) -> Self {
        Self::Key(self, name)
    }

    /// The element `index` of this list.
    pub(crate) const fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }

    /// The steps from the root.
    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        let mut here = self;
        loop {
            here = match here {
                Self::Root => break,
                Self::Key(parent, name) => {
                    steps.push(Step::Key(name));
                    parent
                }
                Self::Index(parent, index) => {
                    steps.push(Step::Index(*index));
                    parent
                }
            };
        }
        steps.reverse();
        steps
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(&self.steps(), f)
    }
}

/// `routes[3].to`.
pub(crate) fn display(steps: &[Step<'_>], f: &mut impl fmt::Write) -> fmt::Result {
    for (position, step) in steps.iter().enumerate() {
        match step {
            Step::Key(name) if position == 0 => f.write_str(name)?,
            Step::Key(name) => write!(f, ".{name}")?,
            Step::Index(index) => write!(f, "[{index}]")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_the_file() {
        let routes = Field::Root.key("routes");
        let route = routes.index(3);
        assert_eq!(route.key("to").to_string(), "routes[3].to");
        assert_eq!(Field::Root.to_string(), "");
    }
}
