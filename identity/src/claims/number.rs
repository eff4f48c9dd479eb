//! Decimal numbers by value, exactly, at any size: no floating point in between.

use std::cmp::Ordering;

/// Longer plain notations than this many digits become scientific.
const PLAIN_DIGITS: i64 = 40;
/// Exponents beyond this are kept as they were written; two spellings of such a number are then unequal.
const MAX_EXPONENT: i64 = 1_000_000_000_000_000;

/// The one spelling of a number's value: `5`, `5.0` and `5e0` are all `5`, `-0` is `0`. The text is
/// a decimal number in JSON's notation; a leading `+` and a bare point are understood too.
#[must_use]
pub fn canonical_number(text: &str) -> String {
    let (sign, magnitude) = match text.as_bytes().first() {
        Some(b'-') => ("-", text.get(1..).unwrap_or_default()),
        Some(b'+') => ("", text.get(1..).unwrap_or_default()),
        _ => ("", text),
    };
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    let trailing = digits.len().saturating_sub(digits.trim_end_matches('0').len());
    let written = exponent.parse::<i64>().ok().filter(|exponent| exponent.abs() <= MAX_EXPONENT);
    let Some(exponent) = written else {
        return text.to_ascii_lowercase();
    };
    let exponent = exponent.saturating_sub(signed(fraction.len())).saturating_add(signed(trailing));
    format!("{sign}{}", spell(significant, exponent))
}

/// `digits` times ten to the `exponent`; the digits neither begin nor end with a zero.
fn spell(digits: &str, exponent: i64) -> String {
    let count = signed(digits.len());
    let point = count.saturating_add(exponent);
    if exponent >= 0 && point <= PLAIN_DIGITS {
        return format!("{digits}{}", zeros(exponent));
    }
    if exponent < 0 && point > 0 {
        let whole = usize::try_from(point).ok().and_then(|point| digits.split_at_checked(point));
        let (whole, fraction) = whole.unwrap_or((digits, ""));
        return format!("{whole}.{fraction}");
    }
    if exponent < 0 && point > -PLAIN_DIGITS {
        return format!("0.{}{digits}", zeros(point.saturating_neg()));
    }
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    let separator = if rest.is_empty() { "" } else { "." };
    format!("{first}{separator}{rest}e{}", point.saturating_sub(1))
}

fn zeros(count: i64) -> String {
    "0".repeat(usize::try_from(count).unwrap_or_default())
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Orders two canonical numbers by value, without allocating.
#[must_use]
pub fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (Decimal::of(a), Decimal::of(b));
    match (a.sign(), b.sign()) {
        (1, 1) => a.compare_magnitude(&b),
        (-1, -1) => b.compare_magnitude(&a),
        (a, b) => a.cmp(&b),
    }
}

/// A canonical number taken apart.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn of(text: &'a str) -> Self {
        let (negative, magnitude) = match text.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, text),
        };
        let (mantissa, exponent) = magnitude.split_once('e').unwrap_or((magnitude, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let beyond = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
        Self { negative, whole, fraction, exponent: exponent.parse().unwrap_or(beyond) }
    }

    fn sign(&self) -> i8 {
        match (self.digits().next(), self.negative) {
            (None, _) => 0,
            (Some(_), true) => -1,
            (Some(_), false) => 1,
        }
    }

    /// The digits from the first that is not zero.
    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes()).skip_while(|digit| *digit == b'0')
    }

    /// The power of ten of the first digit that is not zero.
    fn magnitude(&self) -> i64 {
        let leading = self.whole.bytes().chain(self.fraction.bytes()).take_while(|digit| *digit == b'0').count();
        self.exponent.saturating_add(signed(self.whole.len())).saturating_sub(signed(leading))
    }

    fn length(&self) -> usize {
        self.whole.len().saturating_add(self.fraction.len())
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        let length = self.length().max(other.length());
        let zeros = || std::iter::repeat(b'0');
        let digits = || {
            let ours = self.digits().chain(zeros()).take(length);
            ours.cmp(other.digits().chain(zeros()).take(length))
        };
        self.magnitude().cmp(&other.magnitude()).then_with(digits)
    }
}
