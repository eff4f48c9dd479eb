//! One criterion object: its name, its value, and what is surely not meant.

use ipnet::IpNet;

use crate::Diagnostic;
use crate::criterion::{Approval, ClaimMatcher, Criterion, DeviceMatcher, Path, RequestCriterion, SubjectCriterion};
use crate::diagnostic::suggestion;
use crate::network::{self, Networks};
use crate::program::Source;
use crate::record::{Comparison, FieldMatcher, RecordMatcher};
use crate::yaml::{Entry, Kind, Node};

use super::matchers::{Literals, relation};
use super::values::literal;
use super::{Compiler, certificates, requests, times};
use crate::matcher::{ListMatcher, ListTest, Relation, StringMatcher};

/// Every criterion, for "did you mean".
const CRITERIA: [&str; 20] = [
    "accept",
    "reject",
    "authenticated_user",
    "user",
    "email",
    "domain",
    "claim",
    "groups",
    "device",
    "client_certificate",
    "invalid_client_certificate",
    "source_ip",
    "http_method",
    "http_path",
    "cors_preflight",
    "mcp_tool",
    "date",
    "day_of_week",
    "time_of_day",
    "record",
];

impl Compiler<'_> {
    /// An object with exactly one key.
    pub(super) fn criterion_object(&mut self, node: &Node) -> Result<(Criterion, Source), Diagnostic> {
        let entries = node.as_mapping().ok_or_else(|| {
            Diagnostic::at(node.place(), format!("a criterion is a mapping with one key, not {}", node.kind()))
        })?;
        match entries {
            [entry] => {
                self.digest.node(node);
                Ok((self.criterion(entry)?, Source::of(entry)))
            }
            [] => Err(Diagnostic::at(node.place(), "a criterion has exactly one key, this one has none")),
            [_, second, ..] => {
                let message = format!("a criterion has exactly one key, `{}` is another", second.key);
                Err(Diagnostic::at(second.key_span.start, message).with_help("begin it with `- ` on its own line"))
            }
        }
    }

    pub(super) fn criterion(&mut self, entry: &Entry) -> Result<Criterion, Diagnostic> {
        let (name, path) = entry.key.split_once('/').map_or((&*entry.key, None), |(name, path)| (name, Some(path)));
        let value = &entry.value;
        let criterion: Criterion = match name {
            "accept" => RequestCriterion::Accept.into(),
            "reject" => RequestCriterion::Reject.into(),
            "authenticated_user" => SubjectCriterion::Authenticated.into(),
            "user" => SubjectCriterion::User(self.string_matcher(value, Literals::Any)?).into(),
            "email" => {
                self.look_at_addresses(value);
                SubjectCriterion::Email(self.string_matcher(value, Literals::Any)?).into()
            }
            "domain" => {
                self.look_at_domains(value);
                SubjectCriterion::domain(self.string_matcher(value, Literals::Text)?).into()
            }
            "claim" => {
                if path.unwrap_or_default().is_empty() {
                    let key = Node::new(Kind::Null, entry.key_span);
                    self.warn(&key, "`claim` without a name reads the claim named \"\"", "write `claim/NAME`");
                }
                let path = Path::new(path.unwrap_or_default());
                let matcher = ClaimMatcher { path, values: self.list_matcher(value)? };
                SubjectCriterion::Claim(Box::new(matcher)).into()
            }
            "groups" => SubjectCriterion::Groups(Box::new(self.list_matcher(value)?)).into(),
            "device" => SubjectCriterion::Device(Box::new(self.device(entry)?)).into(),
            "client_certificate" => {
                RequestCriterion::ClientCertificate(Box::new(certificates::matcher(self, entry)?)).into()
            }
            "invalid_client_certificate" => RequestCriterion::InvalidClientCertificate.into(),
            "source_ip" => RequestCriterion::SourceIp(Box::new(self.networks(value)?)).into(),
            "http_method" => {
                requests::look_at_methods(self, value);
                RequestCriterion::HttpMethod(self.string_matcher(value, Literals::Any)?).into()
            }
            "http_path" => {
                requests::look_at_paths(self, value);
                RequestCriterion::HttpPath(self.string_matcher(value, Literals::Any)?).into()
            }
            "cors_preflight" => RequestCriterion::CorsPreflight.into(),
            "mcp_tool" => RequestCriterion::McpTool(self.string_matcher(value, Literals::Any)?).into(),
            "date" => RequestCriterion::Date(Box::new(times::date(entry)?)).into(),
            "day_of_week" => RequestCriterion::DayOfWeek(times::day_of_week(entry)?).into(),
            "time_of_day" => RequestCriterion::TimeOfDay(Box::new(times::time_of_day(entry)?)).into(),
            "record" => RequestCriterion::Record(Box::new(self.record(entry)?)).into(),
            unknown => return Err(unknown_criterion(unknown, entry)),
        };
        if let (Some(path), true) = (path, name != "claim") {
            let key = Node::new(Kind::Null, entry.key_span);
            self.warn(&key, format!("`/{path}` behind `{name}` is ignored"), "only `claim` has a path");
        }
        requests::look_at_flag(self, name, value);
        Ok(criterion)
    }

    fn device(&mut self, entry: &Entry) -> Result<DeviceMatcher, Diagnostic> {
        let mut device = DeviceMatcher { kind: "any".into(), id: None, approval: Approval::Either };
        for field in mapping(entry, "`is`, `type` and `approved`")? {
            match &*field.key {
                "is" => device.id = Some(text(field)?.into()),
                "type" => {
                    device.kind = text(field)?.into();
                    if !matches!(&*device.kind, "any" | "enclave_only") {
                        self.warn(
                            &field.value,
                            "device types are `any` and `enclave_only`",
                            "no device has another type",
                        );
                    }
                }
                "approved" => {
                    let approved = boolean(field)?;
                    device.approval = if approved { Approval::Approved } else { Approval::NotApproved };
                }
                _ => return Err(unknown_field(field, &["is", "type", "approved"])),
            }
        }
        Ok(device)
    }

    fn networks(&mut self, value: &Node) -> Result<Networks, Diagnostic> {
        let one = std::slice::from_ref(value);
        let items = value.as_list().unwrap_or(one);
        self.bounded(value, items)?;
        if items.is_empty() {
            self.warn(value, "`source_ip` of an empty list never matches", "add an address or remove it");
        }
        let mut networks: Vec<IpNet> = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = item.as_text() else {
                let message = format!("`source_ip` takes an address, a CIDR or a list of them, not {}", item.kind());
                return Err(Diagnostic::at(item.place(), message));
            };
            let Some(parsed) = network::parse(text) else {
                return Err(Diagnostic::at(item.place(), format!("`{text}` is no IP address and no CIDR")));
            };
            if parsed.host_bits {
                let help = format!("`{}` is meant then", parsed.network);
                self.warn(item, format!("the host bits of `{text}` are ignored"), &help);
            }
            networks.push(parsed.network);
        }
        Ok(Networks::new(&networks))
    }

    fn record(&mut self, entry: &Entry) -> Result<RecordMatcher, Diagnostic> {
        let (mut kind, mut id, mut exists, mut path) = (None, None, None, None);
        let (mut texts, mut lists, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for field in mapping(entry, "`type`, `field` and matchers")? {
            match &*field.key {
                "type" => kind = Some(text(field)?.into()),
                "id" => id = Some(text(field)?.into()),
                "exists" => exists = Some(boolean(field)?),
                "field" => path = Some(Path::new(text(field)?)),
                key if relation(key).is_some() => {
                    let relation = relation(key).unwrap_or(Relation::Has);
                    lists.push(ListTest::new(relation, literal(&field.value)));
                }
                key => match comparison(key) {
                    Some(comparison) => numbers.push((comparison, number(field)?.into())),
                    None => texts.extend(self.string_test(field, Literals::Any, &RECORD_FIELDS)?),
                },
            }
        }
        let at = |message| Diagnostic::at(entry.key_span.start, message);
        let kind = kind.ok_or_else(|| at("`record` needs a `type`"))?;
        let conditions = !(texts.is_empty() && lists.is_empty() && numbers.is_empty());
        let field = match (path, conditions) {
            (None, false) => None,
            (None, true) => return Err(at("`record` needs a `field` to compare")),
            (Some(_), false) => return Err(at("`record` needs a matcher for its `field`")),
            (Some(path), true) => {
                let (text, list) = (StringMatcher::new(texts), ListMatcher::new(lists));
                Some(FieldMatcher { path, text, list, numbers: numbers.into() })
            }
        };
        Ok(RecordMatcher { kind, id, exists: exists.unwrap_or(true), field })
    }

    /// A domain has no `@`, and those that providers give are in lower case.
    pub(super) fn look_at_domains(&mut self, value: &Node) {
        for node in texts(value) {
            let text = node.as_text().unwrap_or_default();
            if let Some((_, domain)) = text.rsplit_once('@') {
                let help = format!("write `{domain}`: a domain is what follows the last `@`");
                self.warn(node, format!("no domain holds an `@`, as `{text}` does"), &help);
            } else if text.chars().any(char::is_uppercase) {
                self.warn(
                    node,
                    format!("domains compare with case, and `{text}` has upper case"),
                    "write it in lower case",
                );
            }
        }
    }

    pub(super) fn look_at_addresses(&mut self, value: &Node) {
        for node in texts(value) {
            let text = node.as_text().unwrap_or_default();
            let domain = text.rsplit_once('@').map_or("", |(_, domain)| domain);
            if domain.chars().any(char::is_uppercase) {
                let message = format!("addresses compare with case, and the domain of `{text}` has upper case");
                self.warn(node, message, "write it in lower case");
            }
        }
    }
}

const RECORD_FIELDS: [&str; 19] = [
    "type",
    "id",
    "field",
    "exists",
    "is",
    "not",
    "contains",
    "starts_with",
    "ends_with",
    "in",
    "not_in",
    "has",
    "exclude",
    "<",
    "<=",
    "=",
    ">=",
    ">",
    "==",
];

fn unknown_criterion(name: &str, entry: &Entry) -> Diagnostic {
    let place = entry.key_span.start;
    if name == "ssh" || name.starts_with("ssh_") {
        let message = format!("criterion `{name}` is about SSH, which is not served here");
        return Diagnostic::at(place, message).with_help("remove it, and the SSH route it was meant for");
    }
    if name == "pomerium_routes" {
        let message = "criterion `pomerium_routes` does not exist: the proxy's own paths protect themselves";
        return Diagnostic::at(place, message).with_help("remove it");
    }
    Diagnostic::at(place, format!("unknown criterion `{name}`{}", suggestion(name, CRITERIA)))
}

pub(super) fn unknown_field(field: &Entry, known: &[&str]) -> Diagnostic {
    let message = format!("unknown field `{}`{}", field.key, suggestion(&field.key, known.iter().copied()));
    Diagnostic::at(field.key_span.start, message).with_help(format!("known here: {}", known.join(", ")))
}

pub(super) fn mapping<'a>(entry: &'a Entry, of: &str) -> Result<&'a [Entry], Diagnostic> {
    entry.value.as_mapping().ok_or_else(|| {
        let message = format!("`{}` takes a mapping of {of}, not {}", entry.key, entry.value.kind());
        Diagnostic::at(entry.value.place(), message)
    })
}

pub(super) fn text(field: &Entry) -> Result<&str, Diagnostic> {
    field.value.as_text().ok_or_else(|| mistyped(field, "a string"))
}

fn boolean(field: &Entry) -> Result<bool, Diagnostic> {
    field.value.as_boolean().ok_or_else(|| mistyped(field, "`true` or `false`"))
}

fn number(field: &Entry) -> Result<&str, Diagnostic> {
    field.value.as_number().ok_or_else(|| mistyped(field, "a number"))
}

fn mistyped(field: &Entry, expected: &str) -> Diagnostic {
    Diagnostic::at(field.value.place(), format!("`{}` takes {expected}, not {}", field.key, field.value.kind()))
}

fn comparison(key: &str) -> Option<Comparison> {
    Some(match key {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        "=" | "==" => Comparison::Equal,
        ">=" => Comparison::GreaterOrEqual,
        ">" => Comparison::Greater,
        _ => return None,
    })
}

/// The strings that a string matcher's value compares with.
pub(super) fn texts(value: &Node) -> impl Iterator<Item = &Node> {
    let entries = value.as_mapping().unwrap_or_default().iter().map(|entry| &entry.value);
    let nodes = std::iter::once(value).chain(entries);
    let items = |node| match Node::as_list(node) {
        Some(items) => items,
        None => std::slice::from_ref(node),
    };
    nodes.flat_map(items).filter(|node| node.as_text().is_some())
}
