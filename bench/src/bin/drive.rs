//! The yardstick's own generator and origin; `compare` starts it. `drive origin SOCKET UNARY`, or
//! `drive KIND ADDRESS HOST ROOTS CONNECTIONS WARM_UP SPAN RATE [HEADER...]` with times in milliseconds.

use std::error::Error;
use std::io;
use std::sync::Arc;

use portcullis_bench::drive::order::{Kind, Order};
use portcullis_bench::drive::tally::Tally;
use portcullis_bench::drive::tls::Tickets;
use portcullis_bench::drive::{connections, messages, origin, paced, unary};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let [first, socket, unary] = words.as_slice()
        && first == "origin"
    {
        return Ok(runtime.block_on(origin::serve(socket.parse()?, unary.parse()?))?);
    }
    let order = Order::read(&words).ok_or("drive KIND ADDRESS HOST ROOTS CONNECTIONS WARM_UP SPAN RATE [HEADER...]")?;
    match order.kind {
        Kind::Paced => paced::run(&order)?,
        Kind::Connections | Kind::Resumptions | Kind::Messages | Kind::Unary => runtime.block_on(steady(&order))?,
    }
    Ok(())
}

/// As many workers as connections, until the window is over.
async fn steady(order: &Order) -> io::Result<()> {
    let tally = Arc::new(Tally::default());
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..order.connections {
        let (order, tally) = (order.clone(), Arc::clone(&tally));
        match order.kind {
            Kind::Connections => workers.spawn(connections::worker(order, Tickets::Dropped, tally)),
            Kind::Resumptions => workers.spawn(connections::worker(order, Tickets::Kept, tally)),
            Kind::Messages => workers.spawn(messages::worker(order, tally)),
            Kind::Unary => workers.spawn(unary::worker(order, tally)),
            Kind::Paced => continue,
        };
    }
    tally.window(order.warm_up, order.span).await
}
