//! One input out of others.

use crate::dice::Dice;

/// Bytes that mean something to some parser.
const TELLING: &[u8] = b"\0\t\n\r \"#%&'*+,-./0159:;<=>?@AZ[\\]`az{|}~\x7f\x80\xc3\xff";

/// Changes `input` in a few places; `other` is what it may be crossed with, `words` what the target knows.
pub(crate) fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&str], dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        once(input, other, words, dice);
    }
}

fn once(input: &mut Vec<u8>, other: &[u8], words: &[&str], dice: &mut Dice) {
    let at = dice.roll(input.len() + 1);
    let longest = if dice.roll(4) == 0 { 256 } else { 12 };
    let length = dice.roll(longest) + 1;
    let end = at.saturating_add(length).min(input.len());
    match dice.roll(11) {
        0 => {
            let bit = 1 << dice.roll(8);
            input.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
        }
        1 | 2 => {
            let telling = dice.pick(TELLING).copied().unwrap_or_default();
            input.get_mut(at).into_iter().for_each(|byte| *byte = telling);
        }
        3 => drop(input.drain(at..end)),
        4 => input.insert(at, dice.pick(TELLING).copied().unwrap_or_default()),
        5 | 6 => insert(input, at, dice.pick(words).map_or(&[], |word| word.as_bytes())),
        7 => {
            let word = dice.pick(words).map_or(&[] as &[u8], |word| word.as_bytes());
            drop(input.splice(at..end, word.iter().copied()));
        }
        8 => {
            // A piece of its own, somewhere else or many times: depth, repetition, bounds.
            let piece = input.get(at..end).unwrap_or_default().to_vec();
            let to = dice.roll(input.len() + 1);
            let times = if dice.roll(8) == 0 { 1 << dice.roll(8) } else { 1 };
            insert(input, to, &piece.repeat(times));
        }
        _ => {
            let from = dice.roll(other.len() + 1);
            let piece = other.get(from..from.saturating_add(length * 4).min(other.len())).unwrap_or_default();
            drop(input.splice(at..end, piece.iter().copied()));
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}
