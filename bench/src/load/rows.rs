//! What is measured: the rows, who takes part in each, and which ratios with which goals come of it.

use super::entrant::Name;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// 1 KiB.
    Page,
    /// 64 KiB.
    Large,
    /// 64 KiB the other way.
    Upload,
    /// A new connection with a full handshake for each request.
    Connections,
    /// A new connection with a resumed handshake for each request.
    Resumptions,
    /// WebSocket messages.
    Messages,
    /// gRPC calls.
    Unary,
}

/// Over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// HTTP/1.1 in the clear.
    Plain,
    /// HTTP/1.1 over TLS.
    H1,
    /// HTTP/2 over TLS.
    H2,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As the report has it.
    pub name: &'static str,
    /// What is asked for.
    pub work: Work,
    /// Over what.
    pub wire: Wire,
    /// Who takes part.
    pub field: Field,
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Everybody, and the bare engine twice.
    Everybody,
    /// The bare engine, Portcullis with everything on, and nginx.
    Three,
}

impl Field {
    /// Whether it has this system.
    #[must_use]
    pub fn has(self, name: Name) -> bool {
        match self {
            Self::Everybody => true,
            Self::Three => matches!(name, Name::Bare | Name::Checked | Name::Nginx),
        }
    }
}

const fn row(name: &'static str, work: Work, wire: Wire, field: Field) -> Row {
    Row { name, work, wire, field }
}

/// The rows of `make bench`.
#[must_use]
pub fn main_rows() -> Vec<Row> {
    use {Field::*, Wire::*, Work::*};
    vec![
        row("h1 TLS, 1 KiB", Page, H1, Everybody),
        row("h2 TLS, 1 KiB", Page, H2, Everybody),
        row("h1 plain, 1 KiB", Page, Plain, Three),
        row("h1 TLS, 64 KiB", Large, H1, Three),
        row("h1 TLS, 64 KiB upload", Upload, H1, Three),
        row("new TLS 1.3 connections, full", Connections, H1, Three),
        row("new TLS 1.3 connections, resumed", Resumptions, H1, Three),
        row("WebSocket messages, 128 bytes", Messages, H1, Three),
        row("gRPC unary calls", Unary, H2, Three),
    ]
}

/// The rows of `make bench-full`: the same for everybody, and large bodies over HTTP/2.
#[must_use]
pub fn all_rows() -> Vec<Row> {
    let mut rows: Vec<Row> = main_rows().into_iter().map(|row| Row { field: Field::Everybody, ..row }).collect();
    rows.insert(5, row("h2 TLS, 64 KiB", Work::Large, Wire::H2, Field::Everybody));
    rows.insert(6, row("h2 TLS, 64 KiB upload", Work::Upload, Wire::H2, Field::Everybody));
    rows
}

/// One ratio of every row in which both take part.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// Above the line.
    pub system: Name,
    /// Below it.
    pub baseline: Name,
    /// What the ratio should be at least.
    pub goal: Option<f64>,
}

const fn over(system: Name, baseline: Name, goal: Option<f64>) -> Comparison {
    Comparison { system, baseline, goal }
}

/// The ratios, with the goals of the project.
pub const COMPARISONS: [Comparison; 15] = [
    over(Name::BareAgain, Name::Bare, None),
    over(Name::Bare, Name::Nginx, Some(0.85)),
    over(Name::Public, Name::Bare, None),
    over(Name::Checked, Name::Bare, Some(0.90)),
    over(Name::Checked, Name::Nginx, None),
    over(Name::Checked, Name::NginxResponder, Some(1.5)),
    over(Name::Checked, Name::NginxSidecar, Some(5.0)),
    over(Name::Checked, Name::NginxOauth2Proxy, Some(5.0)),
    over(Name::Checked, Name::Apache, Some(6.0)),
    over(Name::Checked, Name::Envoy, Some(1.0)),
    over(Name::Checked, Name::EnvoyJwt, None),
    over(Name::Checked, Name::EnvoyOwn, Some(2.5)),
    over(Name::Checked, Name::EnvoyResponder, Some(4.0)),
    over(Name::Checked, Name::EnvoySidecar, Some(4.0)),
    over(Name::Checked, Name::Haproxy, None),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{all_rows, main_rows};

    #[test]
    fn rows_have_names_of_their_own_and_the_full_run_leaves_none_out() {
        let names = |rows: Vec<super::Row>| rows.iter().map(|row| row.name).collect::<BTreeSet<_>>();
        let (main, all) = (names(main_rows()), names(all_rows()));
        assert_eq!(main.len(), main_rows().len());
        assert_eq!(all.len(), all_rows().len());
        assert!(main.is_subset(&all));
    }
}
