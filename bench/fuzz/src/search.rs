//! The search: mutate, try, keep what is new.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::dice::Dice;
use crate::mutation::mutate;
use crate::{Shape, Target, committed};

/// The longest input that is made.
pub const MAX_INPUT_BYTES: usize = 32 * 1024;

/// The most inputs that are kept.
const MAX_KEPT: usize = 4096;

/// Puts one input into a target: its shape, or what the panic says.
///
/// # Errors
/// If the target panics: a promise is broken.
pub fn replay(target: &Target, input: &[u8]) -> Result<Shape, String> {
    let run = AssertUnwindSafe(|| (target.run)(input));
    catch_unwind(run).map_err(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
    })
}

/// A search in one target: the inputs so far, and the shapes they have.
#[derive(Debug)]
pub struct Search {
    target: &'static Target,
    kept: Vec<Vec<u8>>,
    shapes: HashSet<Shape>,
    dice: Dice,
}

impl Search {
    /// A search that begins with the committed corpus.
    #[must_use]
    pub fn new(target: &'static Target, seed: u64) -> Self {
        let kept = committed(target.name).into_iter().map(|seed| seed.bytes).collect();
        Self { target, kept, shapes: HashSet::new(), dice: Dice::new(seed) }
    }

    /// The next input.
    #[must_use]
    pub fn draw(&mut self) -> Vec<u8> {
        let other = self.dice.pick(&self.kept).cloned().unwrap_or_default();
        let mut input = self.dice.pick(&self.kept).cloned().unwrap_or_default();
        mutate(&mut input, &other, self.target.words, &mut self.dice);
        input.truncate(MAX_INPUT_BYTES);
        input
    }

    /// Tries an input, and keeps it if it is of a new shape.
    ///
    /// # Errors
    /// What the target's panic says: a promise is broken.
    pub fn attempt(&mut self, input: &[u8]) -> Result<(), String> {
        let shape = replay(self.target, input)?;
        if self.shapes.insert(shape) && self.kept.len() < MAX_KEPT {
            self.kept.push(input.to_vec());
        }
        Ok(())
    }

    /// How many shapes were seen.
    #[must_use]
    pub fn shapes(&self) -> usize {
        self.shapes.len()
    }
}
