//! The controller's end of the socket: who comes, what he wants, and what he gets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gateway::upstream::stdio::Attached;
use tokio::io::{AsyncWriteExt as _, BufReader, copy, sink};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::line::{LINE_BYTES, Lines, OPENING_BYTES, write_line};
use super::link::{Link, Seat};
use super::wire::{Account, Answer, Hello, Opening, Order};

/// How many connections there are at once: one of the process, one for each container over standard streams, and one for each that somebody
/// has to himself.
const CONNECTIONS: usize = 1_024;
/// How long whoever connects may take to say what he wants.
const OPENING_TIME: Duration = Duration::from_secs(10);
/// The pause after a connection could not be taken, as without file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes connections until it is dropped, and all of them with it.
pub(super) async fn keep(listener: UnixListener, link: Arc<Link>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&link)))),
            Err(error) => {
                tracing::debug!(error = %error, "a connection of a gateway cannot be taken");
                sleep(PAUSE).await;
            }
        }
    }
}

type Incoming = Lines<BufReader<OwnedReadHalf>>;

async fn serve(stream: UnixStream, link: Arc<Link>) {
    let (read, mut write) = stream.into_split();
    let mut lines = Lines::new(BufReader::new(read));
    let ended = match timeout(OPENING_TIME, lines.next(OPENING_BYTES)).await {
        Ok(Ok(Some(Opening::Gateway(hello)))) => welcome(hello, lines, write, &link).await,
        Ok(Ok(Some(Opening::Attach(instance)))) => relay(&instance, lines, write, &link).await,
        Ok(Ok(Some(Opening::Lend(instance)))) => lend(&instance, lines, write, &link).await,
        Ok(Ok(None)) => Ok(()),
        Ok(Err(error)) => refuse(&mut write, &error.to_string()).await,
        Err(_) => refuse(&mut write, "nothing was asked for in time").await,
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection of a gateway has ended");
    }
}

async fn refuse(write: &mut OwnedWriteHalf, why: &str) -> io::Result<()> {
    write_line(write, &Answer::Refused(why.to_owned())).await
}

/// Tells a process what to be, and takes in how it is, for as long as it is there.
async fn welcome(hello: Hello, mut lines: Incoming, mut write: OwnedWriteHalf, link: &Arc<Link>) -> io::Result<()> {
    let own = Hello::own();
    if let Some(misfit) = Hello::misfit(&own, &hello) {
        link.refuse(&misfit);
        return refuse(&mut write, &misfit).await;
    }
    let Some(seat) = link.enter() else {
        return refuse(&mut write, "another `evenkeel gateway` is connected").await;
    };
    write_line(&mut write, &Answer::Welcome(own)).await?;
    tracing::info!(release = hello.release, "the process of a gateway is connected");
    let ended = tokio::select! {
        // Either ends the connection, and with it the other.
        told = tell(&mut write, link) => told,
        heard = hear(&mut lines, &seat) => heard,
    };
    tracing::info!("the process of a gateway is gone");
    ended
}

async fn tell(write: &mut OwnedWriteHalf, link: &Arc<Link>) -> io::Result<()> {
    let mut orders = link.orders.subscribe();
    loop {
        let order = orders.borrow_and_update().clone();
        if let Some(order) = order {
            write_line(write, &order).await?;
            if matches!(order, Order::Close(_)) {
                write.shutdown().await?;
                // What it says meanwhile is read, since it would not read on itself if nobody did.
                return std::future::pending().await;
            }
        }
        if orders.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn hear(lines: &mut Incoming, seat: &Seat) -> io::Result<()> {
    while let Some(account) = lines.next::<Account>(LINE_BYTES).await? {
        seat.tell(account);
    }
    Ok(())
}

/// Hands an instance's standard streams through. Only those of the gateway's own servers can be had.
async fn relay(instance: &str, lines: Incoming, mut write: OwnedWriteHalf, link: &Arc<Link>) -> io::Result<()> {
    if !link.has_streams_of(instance) {
        return refuse(&mut write, "this gateway has no such instance over standard streams").await;
    }
    let Attached { mut input, mut output } = match link.attach.attach(instance).await {
        Ok(attached) => attached,
        Err(error) => return refuse(&mut write, &error.to_string()).await,
    };
    write_line(&mut write, &Answer::Attached).await?;
    let mut read = lines.into_reader();
    tokio::select! {
        // With either direction the streams have ended: nothing may be on its way in the other that somebody waits for.
        copied = copy(&mut read, &mut input) => copied.map(drop),
        copied = copy(&mut output, &mut write) => copied.map(drop),
    }
}

/// Lends an instance until whoever has it hangs up. Only those of servers whose instances are for one can be had; one that the gateway has
/// no more is as good as taken.
async fn lend(instance: &str, lines: Incoming, mut write: OwnedWriteHalf, link: &Arc<Link>) -> io::Result<()> {
    let Some(lender) = link.lender_of(instance) else {
        return write_line(&mut write, &Answer::Taken).await;
    };
    let _ticket = match link.leases.take(instance, &lender) {
        Ok(Some(ticket)) => ticket,
        Ok(None) => return write_line(&mut write, &Answer::Taken).await,
        Err(error) => return refuse(&mut write, &error.to_string()).await,
    };
    write_line(&mut write, &Answer::Lent).await?;
    // Nothing more is said: the end is what is waited for.
    copy(&mut lines.into_reader(), &mut sink()).await.map(drop)
}
