//! Binding: every socket before any service starts, so that a port in use is said at once and nothing half-runs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use portcullis_config::{Config, Service};
use socket2::{Domain, Socket, Type};

/// Connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// A TCP address.
    #[error("cannot listen on {address}: {source}")]
    Tcp {
        /// The address of the configuration.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A Unix socket.
    #[error("cannot listen on {}: {source}", path.display())]
    Unix {
        /// The socket's path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process serves there.
    #[error("{}: another Portcullis runs with this run directory", path.display())]
    Taken {
        /// The socket's path.
        path: PathBuf,
    },
}

/// Everything that is bound before anything runs.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) public: Vec<TcpListener>,
    pub(crate) redirect: Option<TcpListener>,
    pub(crate) broker: Option<UnixListener>,
    pub(crate) broker_tls: Option<TcpListener>,
    pub(crate) authn: Option<UnixListener>,
    pub(crate) authn_tls: Option<TcpListener>,
}

impl Sockets {
    /// Binds what the services of `config` need.
    ///
    /// # Errors
    /// [`BindError`]; nothing stays bound.
    pub(crate) fn bind(config: &Config) -> Result<Self, BindError> {
        let Config { services, listen, directories, .. } = config;
        let runs = |service| services.runs(service);
        let local = |service, name: &str| runs(service).then(|| unix(&directories.run.join(name))).transpose();
        let remote = |service, address: Option<SocketAddr>| {
            address.filter(|_| runs(service)).map(|address| tcp(address, &[])).transpose()
        };
        let public = listen.public.iter().filter(|_| runs(Service::Proxy)).map(|address| tcp(*address, &listen.public));
        Ok(Self {
            public: public.collect::<Result<_, _>>()?,
            redirect: remote(Service::Proxy, listen.redirect)?,
            broker: local(Service::Broker, "broker.sock")?,
            broker_tls: remote(Service::Broker, listen.internal.broker)?,
            authn: local(Service::Authn, "authn.sock")?,
            authn_tls: remote(Service::Authn, listen.internal.authn)?,
        })
    }
}

/// A listening TCP socket, ready for the runtime. `beside`: the other addresses of the same listener.
///
/// # Errors
/// The address is in use, not ours, or privileged.
pub(crate) fn tcp(address: SocketAddr, beside: &[SocketAddr]) -> Result<TcpListener, BindError> {
    let every_ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    let only_v6 = address.port() != 0 && beside.contains(&every_ipv4);
    bind(address, only_v6).map_err(|source| BindError::Tcp { address, source })
}

fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let every_address = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    // "Every address" on a host without IPv6 is every IPv4 address.
    if every_address && !has_ipv6() {
        return bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())), false);
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart need not wait for old connections to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` alone serves IPv4 too, whatever the system's default; beside `0.0.0.0` it must not.
        socket.set_only_v6(!every_address || only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether this host has IPv6 at all.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// A listening Unix socket (0600), ready for the runtime. A socket that a dead process left behind is replaced.
///
/// # Errors
/// A live process serves there, something else than a socket is there, or the folder is not ours.
pub(crate) fn unix(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source| BindError::Unix { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if UnixStream::connect(path).is_ok() {
                return Err(BindError::Taken { path: path.to_owned() });
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        Ok(_other) => return Err(failed(io::Error::from(io::ErrorKind::AlreadyExists))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
