//! Who may call what: one table, one question.

use portcullis_keys::ServiceRole;

/// The calls of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Hello,
    Create,
    Derive,
    ListDerived,
    Fetch,
    Redeem,
    Touch,
    End,
    Watch,
    AccessToken,
    PushRecords,
    DeleteRecords,
    ListRecords,
    WatchRecords,
}

/// The table. Nobody reads refresh tokens: there is no such call. External data opens doors, so only the broker's own
/// host changes it, whose operator speaks as the broker; a proxy reads it, and no sign-in needs it.
const TABLE: [(Method, &str, &[ServiceRole]); 14] = [
    (Method::Hello, "Hello", &[ServiceRole::Proxy, ServiceRole::Authn]),
    (Method::Create, "Create", &[ServiceRole::Authn]),
    (Method::Derive, "Derive", &[ServiceRole::Authn]),
    (Method::ListDerived, "ListDerived", &[ServiceRole::Proxy, ServiceRole::Authn]),
    (Method::Fetch, "Fetch", &[ServiceRole::Proxy, ServiceRole::Authn]),
    (Method::Redeem, "Redeem", &[ServiceRole::Proxy]),
    (Method::Touch, "Touch", &[ServiceRole::Proxy]),
    (Method::End, "End", &[ServiceRole::Proxy, ServiceRole::Authn]),
    (Method::Watch, "Watch", &[ServiceRole::Proxy]),
    (Method::AccessToken, "AccessToken", &[ServiceRole::Proxy]),
    (Method::PushRecords, "PushRecords", &[ServiceRole::Broker]),
    (Method::DeleteRecords, "DeleteRecords", &[ServiceRole::Broker]),
    (Method::ListRecords, "ListRecords", &[ServiceRole::Broker]),
    (Method::WatchRecords, "WatchRecords", &[ServiceRole::Proxy]),
];

impl Method {
    /// The call of a gRPC path, `/portcullis.broker.v1.Broker/Create`.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let name = path.strip_prefix("/portcullis.broker.v1.Broker/")?;
        TABLE.iter().find(|(_, known, _)| *known == name).map(|(method, _, _)| *method)
    }

    /// Whether `role` may make this call.
    pub(crate) fn permits(self, role: ServiceRole) -> bool {
        TABLE.iter().any(|(method, _, roles)| *method == self && roles.contains(&role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table once more, as the design says it: a cell that changes must change here too.
    #[test]
    fn every_cell_is_as_designed() {
        use Method::{
            AccessToken, Create, DeleteRecords, Derive, End, Fetch, Hello, ListDerived, ListRecords, PushRecords,
            Redeem, Touch, Watch, WatchRecords,
        };
        let proxy = [Hello, ListDerived, Fetch, Redeem, Touch, End, Watch, AccessToken, WatchRecords];
        let authn = [Hello, Create, Derive, ListDerived, Fetch, End];
        let broker = [PushRecords, DeleteRecords, ListRecords];
        for (method, _, _) in TABLE {
            assert_eq!(method.permits(ServiceRole::Proxy), proxy.contains(&method), "proxy, {method:?}");
            assert_eq!(method.permits(ServiceRole::Authn), authn.contains(&method), "authn, {method:?}");
            assert_eq!(method.permits(ServiceRole::Broker), broker.contains(&method), "broker, {method:?}");
        }
    }

    #[test]
    fn only_known_paths_are_calls() {
        assert_eq!(Method::of_path("/portcullis.broker.v1.Broker/End"), Some(Method::End));
        for path in
            ["/portcullis.broker.v1.Broker/Refresh", "/other.Broker/End", "End", "/portcullis.broker.v1.Broker/"]
        {
            assert_eq!(Method::of_path(path), None, "{path}");
        }
    }
}
