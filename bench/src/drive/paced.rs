//! Requests at a fixed rate. A request's time runs from the moment it was due, not from the moment the generator got
//! round to it: a system that stalls cannot hide the requests it kept waiting.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio::time::Instant;

use super::order::Order;
use super::tally::{BEGIN, END, counts, say};
use super::tls::{Tickets, config, server_name};

/// The longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// What one connection saw: how long each request of the window took, and how many failed.
#[derive(Debug, Default)]
struct Seen {
    micros: Vec<u64>,
    bad: u64,
}

/// Runs the whole order on threads, because a sleeping thread wakes more exactly than a timer wheel, and says what the
/// window brought: counts, then `p50 A p99 B` in microseconds.
///
/// # Errors
/// No connection, or nobody listens.
pub fn run(order: &Order) -> io::Result<()> {
    let config = config(&order.roots, &["http/1.1"], Tickets::Dropped)?;
    // Connections are opened before the clock starts.
    let lanes: io::Result<Vec<_>> = (0..order.connections).map(|_| open(order, &config)).collect();
    let begin = Instant::now() + order.warm_up;
    let workers: Vec<_> = lanes?
        .into_iter()
        .enumerate()
        .map(|(lane, stream)| {
            let order = order.clone();
            thread::spawn(move || pace(&order, stream, lane, begin))
        })
        .collect();
    sleep_until(begin);
    say(BEGIN)?;
    sleep_until(begin + order.span);
    say(END)?;
    let mut all = Seen::default();
    for worker in workers {
        let Seen { micros, bad } = worker.join().map_err(|_| io::Error::other("a worker panicked"))?;
        all.micros.extend(micros);
        all.bad = all.bad.saturating_add(bad);
    }
    all.micros.sort_unstable();
    let good = u64::try_from(all.micros.len()).unwrap_or(u64::MAX);
    say(&counts(good, all.bad))?;
    say(&format!("p50 {} p99 {}", quantile(&all.micros, 50), quantile(&all.micros, 99)))
}

type Stream = BufReader<StreamOwned<ClientConnection, TcpStream>>;

fn open(order: &Order, config: &Arc<ClientConfig>) -> io::Result<Stream> {
    let stream = TcpStream::connect(order.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let connection = ClientConnection::new(Arc::clone(config), server_name(&order.host)?).map_err(io::Error::other)?;
    Ok(BufReader::new(StreamOwned::new(connection, stream)))
}

/// Every `connections`-th request of the schedule, from the warm-up to the end of the window.
fn pace(order: &Order, mut stream: Stream, lane: usize, begin: Instant) -> Seen {
    let head = order.head("keep-alive");
    let step = Duration::from_secs_f64(order.connections as f64 / order.rate.max(1) as f64);
    let mut due = begin - order.warm_up + step.mul_f64(lane as f64 / order.connections.max(1) as f64);
    let mut seen = Seen::default();
    while due < begin + order.span {
        sleep_until(due);
        let good = ask(&mut stream, &head);
        if !good.unwrap_or(false) {
            seen.bad = seen.bad.saturating_add(1);
            return seen;
        }
        if due >= begin {
            seen.micros.push(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        due += step;
    }
    seen
}

/// One request and its whole answer, whose length must be given.
fn ask(stream: &mut Stream, head: &str) -> io::Result<bool> {
    stream.get_mut().write_all(head.as_bytes())?;
    let (mut status, mut length) = (String::new(), 0usize);
    stream.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(status.starts_with("HTTP/1.1 200") && body.len() == 1024)
}

/// The value below which `percent` of the sorted values lie; 0 without values.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get(sorted.len().saturating_mul(percent) / 100).or_else(|| sorted.last()).copied().unwrap_or(0)
}

#[expect(clippy::disallowed_methods, reason = "a thread of the generator, with nothing else to do")]
fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_of_few_and_many() {
        let hundred: Vec<u64> = (0..100).collect();
        assert_eq!((quantile(&hundred, 50), quantile(&hundred, 99)), (50, 99));
        assert_eq!((quantile(&[7], 99), quantile(&[], 50)), (7, 0));
    }
}
