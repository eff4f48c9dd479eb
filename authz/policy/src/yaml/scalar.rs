//! What a plain scalar is: the core schema of YAML 1.2.2, §10.3.2, where a leading zero makes a string.

use portcullis_identity::canonical_number;

use super::Kind;

/// What a plain scalar cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// `.nan`, `.inf` and their spellings.
    NotFinite,
    /// A hexadecimal or octal number of more than 128 bits.
    TooLarge,
}

/// Resolves a plain, untagged scalar.
pub(super) fn resolve(text: &str) -> Result<Kind, Refused> {
    let kind = match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Boolean(true),
        "false" | "False" | "FALSE" => Kind::Boolean(false),
        _ => match number(text)? {
            Some(canonical) => Kind::Number(canonical.into()),
            None => Kind::Text(text.into()),
        },
    };
    Ok(kind)
}

/// The canonical number that the text writes, if it writes one.
pub(super) fn number(text: &str) -> Result<Option<String>, Refused> {
    // Most scalars are words: one look settles it.
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Ok(None);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(Refused::NotFinite);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.bytes().all(|b| b.is_ascii_digit());
    Ok((!leading_zero && is_decimal(unsigned)).then(|| canonical_number(text)))
}

fn radix(digits: &str, base: u32) -> Result<Option<String>, Refused> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Ok(None);
    }
    u128::from_str_radix(digits, base)
        .map(|value| Some(canonical_number(&value.to_string())))
        .map_err(|_| Refused::TooLarge)
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
