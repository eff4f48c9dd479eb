//! Binding: every socket before any service starts, so that a port in use is said at once and nothing half-runs.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

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

/// A listening TCP socket, ready for the runtime.
///
/// # Errors
/// The address is in use, not ours, or privileged.
pub(crate) fn tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let failed = |source| BindError::Tcp { address, source };
    // The standard library sets SO_REUSEADDR: a restart need not wait for old connections to be forgotten.
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
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
