//! What is a key ring and what is not; errors name the line, never the content.

use super::*;
use crate::SystemRandom;

const A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const B: &str = "/////////////////////////////////////////v4=";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

#[test]
fn lines_of_32_bytes_are_a_ring_and_others_name_their_line() {
    let sixteen: String = (0..MAX_KEYS).map(|_| new_secret(&SystemRandom).1 + "\n").collect();
    let zero = "A".repeat(43);
    let cases = [
        (A.to_owned(), Ok(1)),
        (A.trim_end_matches('=').to_owned(), Ok(1)),
        (format!("# comment\n\n  {A}\t\r\n#{B}\n{B}"), Ok(2)),
        (sixteen.clone(), Ok(MAX_KEYS)),
        (String::new(), Err(RingError::Empty)),
        ("# only words\n".into(), Err(RingError::Empty)),
        (format!("{A}\n{A}\n"), Err(RingError::Repeated { line: 2, first: 1 })),
        (format!("{A}\nshort\n"), Err(RingError::NotAKey { line: 2 })),
        (format!("{A}A"), Err(RingError::NotAKey { line: 1 })),
        (A.replace("Hh8=", "Hh9="), Err(RingError::NotAKey { line: 1 })),
        (format!("{zero}="), Err(RingError::Weak { line: 1 })),
        (format!("{sixteen}{A}"), Err(RingError::TooMany { line: MAX_KEYS + 1 })),
        (format!("{A}\nkey store abcdef {A}"), Err(RingError::Mixed { line: 2 })),
    ];
    for (text, expected) in cases {
        let parsed = KeyRing::parse(&text);
        assert_eq!(parsed.as_ref().map(|ring| ring.key_ids().len()).map_err(|error| *error), expected, "{text}");
        if let Err(error) = parsed {
            let shown = format!("{error} {error:?}");
            assert!(!text.lines().any(|line| line.len() > 4 && shown.contains(line)), "{shown}");
        }
    }
}

#[test]
fn broken_exports_are_refused_beside_a_whole_one() {
    let ring = KeyRing::parse(A).unwrap();
    let whole = ring.export(&[ServiceRole::Proxy], NOW).unwrap();
    assert!(KeyRing::parse(&whole).is_ok());
    let id = ring.key_ids()[0];
    let cases = [
        format!("{whole}{B}\n"),
        format!("{whole}key credential {id} {A}\n"),
        format!("{whole}key internal-ca 123456 {A}\n"),
        format!("{whole}key nothing 123456 {A}\n"),
        format!("{whole}key store 12345 {A}\n"),
        format!("{whole}key store 123456 {A} more\n"),
        format!("{whole}anchor ?\n"),
        format!("{whole}certificate proxy AA== AA== 5\n"),
        format!("{whole}certificate nobody AA== AA== 5\n"),
        format!("{whole}certificate authn AA== AA== x\n"),
        format!("{whole}something else\n"),
    ];
    let lines = whole.lines().count();
    for text in cases {
        let error = KeyRing::parse(&text).unwrap_err();
        assert!(error.to_string().starts_with(&format!("line {}: ", lines + 1)), "{error}");
    }
    assert_eq!(KeyRing::parse("anchor AAAA\n").unwrap_err(), RingError::Empty);
}

#[test]
fn a_rotation_keeps_comments_and_order() {
    let text = format!("# ours\n{A}\n# second\n{B}");
    let (appended, new) = append(&text, &SystemRandom).unwrap();
    assert!(appended.starts_with(&format!("{text}\n")));
    let ids = KeyRing::parse(&appended).unwrap().key_ids();
    assert_eq!(ids.last(), Some(&new));

    let promoted = promote(&appended, new).unwrap();
    assert_eq!(KeyRing::parse(&promoted).unwrap().key_ids(), [new, ids[0], ids[1]]);
    assert!(promoted.starts_with("# ours\n"));
    assert_eq!(promote(&appended, ids[0]).unwrap(), appended, "already at the front");

    let removed = remove(&promoted, ids[0]).unwrap();
    assert_eq!(KeyRing::parse(&removed).unwrap().key_ids(), [new, ids[1]]);
    assert_eq!(remove(&removed, ids[0]).unwrap_err(), RingError::NoSuchKey(ids[0]));
    assert_eq!(promote(&removed, ids[0]).unwrap_err(), RingError::NoSuchKey(ids[0]));
    assert_eq!(remove(A, ids[0]).unwrap_err(), RingError::LastKey);
}

#[test]
fn exports_are_not_rotated() {
    let ring = KeyRing::parse(A).unwrap();
    let export = ring.export(&[ServiceRole::Broker], NOW).unwrap();
    let refused = Err(RingError::Mixed { line: 2 });
    assert_eq!(append(&export, &SystemRandom).map(|_| ()), refused);
    assert_eq!(promote(&export, ring.key_ids()[0]).map(|_| ()), refused);
    assert_eq!(remove(&export, ring.key_ids()[0]).map(|_| ()), refused);
}
