//! The definition, written down once more without any thought of speed: it walks the policy's tree and the
//! line's facts as JSON, and shares no code with the compiled program.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

type Finding = (Option<bool>, BTreeSet<&'static str>);

/// What `policy eval` must answer.
pub(crate) fn answer(policy: &Value, line: &Value) -> Value {
    let rules = policy.as_array().map_or_else(|| std::slice::from_ref(policy), Vec::as_slice);
    let mut index = 0;
    let mut actions: BTreeMap<&str, (Vec<Finding>, Vec<Value>)> = BTreeMap::new();
    for rule in rules {
        for (action, operators) in rule.as_object().unwrap() {
            let finding =
                any(operators.as_object().unwrap().iter().filter_map(|(name, list)| operator(name, list, line)));
            let (findings, told) = actions.entry(action).or_default();
            told.push(json!({"index": index, "line": 1, "value": finding.0}));
            findings.push(finding);
            index += 1;
        }
    }
    let mut take = |name: &str| {
        let (findings, told) = actions.remove(name).unwrap_or_default();
        (any(findings.into_iter()), told)
    };
    let ((allow, allow_reasons), allow_rules) = take("allow");
    let ((deny, deny_reasons), deny_rules) = take("deny");
    let permit = allow == Some(true) && deny == Some(false);
    let challenge = !permit && deny != Some(true) && allow != Some(false);
    let reasons = match deny {
        Some(true) => deny_reasons,
        Some(false) => allow_reasons,
        None => allow_reasons.union(&deny_reasons).copied().collect(),
    };
    json!({"id": line["id"], "error": null, "decision": if permit { "permit" } else { "deny" }, "challenge": challenge,
        "allow": {"value": allow, "rules": allow_rules}, "deny": {"value": deny, "rules": deny_rules}, "reasons": reasons})
}

fn operator(name: &str, list: &Value, line: &Value) -> Option<Finding> {
    let members: Vec<Finding> = list.as_array().unwrap().iter().map(|member| criterion(member, line)).collect();
    if members.is_empty() {
        return None;
    }
    let inverted = || members.iter().map(|(value, reasons)| (value.map(|value| !value), reasons.clone()));
    Some(match name {
        "and" => all(members.into_iter()),
        "or" => any(members.into_iter()),
        "not" => all(inverted()),
        _ => any(inverted()),
    })
}

fn any(members: impl Iterator<Item = Finding>) -> Finding {
    fold(members, [Some(true), None, Some(false)], Some(false))
}

fn all(members: impl Iterator<Item = Finding>) -> Finding {
    fold(members, [Some(false), None, Some(true)], Some(true))
}

fn fold(members: impl Iterator<Item = Finding>, order: [Option<bool>; 3], empty: Option<bool>) -> Finding {
    let members: Vec<Finding> = members.collect();
    let value = order.into_iter().find(|value| members.iter().any(|member| member.0 == *value)).unwrap_or(empty);
    (value, members.into_iter().filter(|member| member.0 == value).flat_map(|member| member.1).collect())
}

fn criterion(member: &Value, line: &Value) -> Finding {
    let (key, data) = member.as_object().unwrap().iter().next().unwrap();
    let (name, path) = key.split_once('/').unwrap_or((key, ""));
    let request = &line["request"];
    let text = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
    let said = |value: bool, words: [&'static str; 2]| (Some(value), BTreeSet::from([words[usize::from(!value)]]));
    match name {
        "accept" => said(true, ["accept", ""]),
        "reject" => said(false, ["", "reject"]),
        "http_method" => {
            said(string(&text(&request["method"], "GET"), data), ["http-method-ok", "http-method-unauthorized"])
        }
        "http_path" => {
            let path = text(&request["path"], "/").split('?').next().unwrap().replace("%20", " ");
            said(string(&path, data), ["http-path-ok", "http-path-unauthorized"])
        }
        "source_ip" => said(inside(&request["client_address"], data), ["source-ip-ok", "source-ip-unauthorized"]),
        "cors_preflight" => {
            let header = |name: &str| request["headers"][name].as_str().is_some_and(|value| !value.is_empty());
            let preflight =
                request["method"] == "OPTIONS" && header("Origin") && header("access-control-request-method");
            said(preflight, ["cors-request", "non-cors-request"])
        }
        "invalid_client_certificate" => {
            let certificate = &request["client_certificate"];
            match (certificate["valid"] == true, certificate["presented"] == true) {
                (true, _) => said(false, ["", "valid-client-certificate"]),
                (false, true) => said(true, ["invalid-client-certificate", ""]),
                (false, false) => said(true, ["client-certificate-required", ""]),
            }
        }
        _ => match subject(line) {
            None => (None, BTreeSet::from(["user-unauthenticated"])),
            Some(subject) => about(&subject, (name, path), data),
        },
    }
}

fn about(subject: &Subject, (name, path): (&str, &str), data: &Value) -> Finding {
    let Subject { user_id, email, claims, groups, devices } = subject;
    let said = |value: bool, words: [&'static str; 2]| (Some(value), BTreeSet::from([words[usize::from(!value)]]));
    match name {
        "authenticated_user" => said(!user_id.is_empty(), ["user-ok", "user-unauthenticated"]),
        "user" => said(!user_id.is_empty() && string(user_id, data), ["user-ok", "user-unauthorized"]),
        "email" => said(string(email, data), ["email-ok", "email-unauthorized"]),
        "domain" => {
            let domain = email.rsplit('@').next().filter(|_| email.contains('@'));
            said(domain.is_some_and(|domain| string(domain, data)), ["domain-ok", "domain-unauthorized"])
        }
        "claim" => {
            let values = claims.get(path).or_else(|| claims.get(&path.replace('/', "."))).cloned().unwrap_or_default();
            said(list(&values, data), ["claim-ok", "claim-unauthorized"])
        }
        "groups" => {
            said(groups.as_ref().is_some_and(|groups| list(groups, data)), ["groups-ok", "groups-unauthorized"])
        }
        _ => {
            let kind = data["type"].as_str().unwrap_or("any");
            let enrolled = |device: &&Value| {
                let state = device["state"].as_str().unwrap_or("enrolled");
                device["type"] == kind && device["id"].is_string() && (state == "enrolled" || state == "approved")
            };
            let enrolled: Vec<&Value> = devices.iter().filter(enrolled).collect();
            if enrolled.is_empty() {
                return (None, BTreeSet::from(["device-unauthenticated"]));
            }
            let meets = |device: &&Value| {
                let approved =
                    data["approved"].as_bool().is_none_or(|wanted| wanted == (device["state"] == "approved"));
                approved && data["is"].as_str().is_none_or(|id| device["id"] == id)
            };
            said(enrolled.iter().any(meets), ["device-ok", "device-unauthorized"])
        }
    }
}

struct Subject {
    user_id: String,
    email: String,
    claims: BTreeMap<String, Vec<Value>>,
    groups: Option<Vec<Value>>,
    devices: Vec<Value>,
}

fn subject(line: &Value) -> Option<Subject> {
    // Instants of the generator share their form: they compare as text.
    let now = line["now"].as_str().unwrap();
    let credential = |subject: &Value| {
        if subject["session"].is_object() { subject["session"].clone() } else { subject["service_account"].clone() }
    };
    let alive = |subject: &Value| credential(subject)["expires_at"].as_str().is_none_or(|end| now < end);
    let own = line["subject"].as_object().map(|_| &line["subject"])?;
    let other = &own["impersonates"];
    let seen = if other.is_object() { other } else { own };
    if !alive(own) || !alive(seen) {
        return None;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut email = text(&seen["directory"]["email"]);
    if email.is_empty() {
        email = text(&seen["user"]["email"]);
    }
    let mut claims = BTreeMap::new();
    flatten("", &seen["session"]["claims"], &mut claims);
    flatten("", &seen["user"]["claims"], &mut claims);
    let groups = seen["directory"].is_object().then(|| {
        let groups = seen["directory"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().map(|group| group["id"].clone()).collect()
    });
    let machine = seen["service_account"].is_object();
    let devices = if machine { Vec::new() } else { seen["devices"].as_array().cloned().unwrap_or_default() };
    Some(Subject { user_id: text(&credential(seen)["user_id"]), email, claims, groups, devices })
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, Vec<Value>>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if value.is_object() {
            flatten(&name, value, into);
        } else {
            into.insert(name, value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
        }
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (a, b) => a == b,
    }
}

fn string(text: &str, data: &Value) -> bool {
    let text_value = json!(text);
    let Value::Object(matchers) = data else { return equal(&text_value, data) };
    matchers.iter().all(|(matcher, value)| {
        let word = value.as_str().unwrap_or_default();
        let listed = || value.as_array().unwrap().iter().any(|item| equal(&text_value, item));
        match matcher.as_str() {
            "is" => equal(&text_value, value),
            "not" => !equal(&text_value, value),
            "contains" => text.contains(word),
            "starts_with" => text.starts_with(word),
            "ends_with" => text.ends_with(word),
            "in" => listed(),
            _ => !listed(),
        }
    })
}

fn list(values: &[Value], data: &Value) -> bool {
    let has = |wanted: &Value| values.iter().any(|value| equal(value, wanted));
    let Value::Object(matchers) = data else { return has(data) };
    matchers.iter().all(|(matcher, value)| match matcher.as_str() {
        "has" => has(value),
        "is" => values.len() == 1 && has(value),
        _ => !has(value),
    })
}

/// The generator writes IPv4 with prefixes of whole bytes only.
fn inside(address: &Value, data: &Value) -> bool {
    let Some(address) = address.as_str().map(|address| address.trim_start_matches("::ffff:")) else { return false };
    let networks = data.as_array().cloned().unwrap_or_else(|| vec![data.clone()]);
    networks.iter().any(|network| {
        let network = network.as_str().unwrap();
        let (network, bits) = network.split_once('/').unwrap_or((network, "32"));
        let bytes = bits.parse::<usize>().unwrap() / 8;
        network.split('.').take(bytes).eq(address.split('.').take(bytes))
    })
}
