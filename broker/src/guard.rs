//! The one place that decides whether a call is made: before any of it is read.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::Either;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;

use crate::metrics::{Metrics, RefusalCause};
use crate::peer::{self, Peer};
use crate::permission::Method;

/// A service behind the permission table.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> Guarded<S> {
    pub(crate) const fn new(inner: S, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

type Response = http::Response<Body>;

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future =
        Either<Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match admit(&request) {
            Ok(role) => {
                request.extensions_mut().insert(role);
                Either::Left(Box::pin(self.inner.call(request)))
            }
            Err(status) => {
                self.metrics.refused(RefusalCause::Denied);
                tracing::warn!(rpc.method = request.uri().path(), cause = status.message(), "call denied");
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

fn admit(request: &http::Request<Body>) -> Result<portcullis_keys::ServiceRole, Status> {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::Stranger);
    let role = peer.caller(peer::said(request.headers()))?;
    let method = Method::of_path(request.uri().path()).ok_or_else(|| Status::unimplemented("no such call"))?;
    if !method.permits(role) {
        return Err(Status::permission_denied(format!("{role} may not call this")));
    }
    Ok(role)
}
