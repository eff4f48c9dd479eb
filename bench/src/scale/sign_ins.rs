//! Sign-ins end to end: many browsers at once, each from the challenge to the page it asked for, over real HTTP and
//! with a real provider.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_demo::{Browser, Client, Provider, ProviderParts};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::series::{Goal, Series, figure, say};
use crate::site::{CLIENT_SECRET, Origin, Site};

/// Signs in for `span` with each number of browsers at once.
///
/// # Errors
/// The binary does not start, or a sign-in does not end at the page.
pub async fn measure(binary: &Path, browsers: &[u32], span: Duration) -> io::Result<Vec<Series>> {
    let origin = Origin::start().await?;
    let mut site = Site::new(binary, origin.address)?;
    let client = Client::confidential("portcullis", CLIENT_SECRET, &site.sign_in_origin());
    let provider = Provider::start(ProviderParts::on_any_port(vec![client])).await?;
    site = site.behind(provider.issuer());
    site.write_for_everybody(1)?;
    let process = site.start().await?;
    let site = Arc::new(site);
    let mut rates = Series::new("sign-ins end to end, over browsers at once", "1/s", Goal::Open);
    let mut costs = Series::new("CPU of Portcullis per sign-in, over browsers at once", "ms", Goal::Open);
    for at_once in browsers {
        say(&format!("sign-ins with {at_once} browsers at once"));
        sign_in(&site).await?;
        let used = process.spent();
        let begun = Instant::now();
        let done = Arc::new(AtomicU64::new(0));
        let tasks = (0..*at_once).map(|_| {
            let (site, done) = (Arc::clone(&site), Arc::clone(&done));
            AbortOnDropHandle::new(tokio::spawn(async move {
                while begun.elapsed() < span {
                    sign_in(&site).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), io::Error>(())
            }))
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        let (elapsed, done) = (begun.elapsed(), done.load(Ordering::Relaxed));
        let used = process.spent().saturating_sub(used);
        rates.add(*at_once, figure(done) / elapsed.as_secs_f64());
        costs.add(*at_once, used.as_secs_f64() * 1000.0 / figure(done.max(1)));
    }
    process.stop().await?;
    Ok(vec![rates, costs])
}

/// One visitor without cookies, from the first request to the page behind the sign-in.
async fn sign_in(site: &Site) -> io::Result<()> {
    let mut browser = Browser::new(site.authority()).map_err(io::Error::other)?;
    let page = browser.sign_in(&site.url(0), "alice").await.map_err(io::Error::other)?;
    if page.status != 200 {
        return Err(io::Error::other(format!("a sign-in ended with {}", page.status)));
    }
    Ok(())
}
