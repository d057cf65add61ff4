//! The system's UDP socket, and who runs quinn's tasks: what quinn brings for tokio, made for a
//! shard that lives on one thread.
//!
//! Two things differ. (1) quinn's own socket asks to be woken whenever the socket may be written,
//! and the kernel says so each time that a datagram has left it: a wake-up of an idle thread for
//! every send. Here a shard asks only after a send was refused. (2) quinn's tasks run beside the
//! actors, in the `LocalSet` of the shard, so that what arrives goes from task to task without a
//! turn of the runtime in between.

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

use quinn::{
    AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};
use tokio::io::{Interest, unix::AsyncFd};

/// Runs quinn's tasks in the `LocalSet` of the calling thread.
#[derive(Debug)]
pub(super) struct ShardRuntime;

impl Runtime for ShardRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::task::spawn_local(task);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Arc::new(SystemSocket::new(socket)?))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

#[derive(Debug)]
struct SystemSocket {
    state: UdpSocketState,
    /// Wakes for what arrives, and for nothing else.
    socket: AsyncFd<UdpSocket>,
    /// The same socket while sends are refused: wakes when they may succeed again.
    refusing: Mutex<Option<Arc<AsyncFd<UdpSocket>>>>,
}

/// `socket`, whose `interest` the calling thread's runtime tells.
#[allow(deprecated, reason = "safe for a socket that is owned; what replaces it is `unsafe`")]
fn registered(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    AsyncFd::with_interest(socket, interest)
}

impl SystemSocket {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            state: UdpSocketState::new((&socket).into())?,
            socket: registered(socket, Interest::READABLE)?,
            refusing: Mutex::new(None),
        })
    }

    fn refusing(&self) -> Option<Arc<AsyncFd<UdpSocket>>> {
        self.refusing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_refusing(&self, refusing: Option<Arc<AsyncFd<UdpSocket>>>) {
        *self.refusing.lock().unwrap_or_else(PoisonError::into_inner) = refusing;
    }

    /// Asks the system to tell when the socket may be written again; it tells at once if it may.
    fn watch(&self) -> io::Result<()> {
        let again = self.socket.get_ref().try_clone()?;
        let watched = registered(again, Interest::WRITABLE)?;
        self.set_refusing(Some(Arc::new(watched)));
        Ok(())
    }

    async fn writable(self: Arc<Self>) -> io::Result<()> {
        if let Some(watched) = self.refusing() {
            watched.writable().await?.retain_ready();
            self.set_refusing(None);
        }
        Ok(())
    }
}

impl AsyncUdpSocket for SystemSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.state.send(self.socket.get_ref().into(), transmit);
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.watch()?;
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let received =
                ready.try_io(|socket| self.state.recv(socket.get_ref().into(), buffers, metas));
            let Ok(received) = received else { continue };
            // Fewer than fit: nothing is left, and what comes next is told anew. To ask again only
            // to hear so would be a system call for each datagram of a quiet node.
            if received.as_ref().is_ok_and(|count| *count < buffers.len()) {
                ready.clear_ready();
            }
            return Poll::Ready(received);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

type Waiting = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// One task's wait for a socket that refuses.
struct Poller {
    socket: Arc<SystemSocket>,
    waiting: Option<Waiting>,
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.is_none() {
            if self.socket.refusing().is_none() {
                return Poll::Ready(Ok(()));
            }
            self.waiting = Some(Box::pin(Arc::clone(&self.socket).writable()));
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(Ok(())) };
        let result = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(result)
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("waits", &self.waiting.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use std::{future::poll_fn, task::Waker, time::Duration};

    use quinn::udp::BATCH_SIZE;
    use tokio::{runtime::Builder, time::timeout};

    use super::*;

    fn on_a_runtime(test: impl Future<Output = ()>) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { timeout(Duration::from_secs(10), test).await.unwrap() });
    }

    fn socket() -> (Arc<SystemSocket>, SocketAddr) {
        let socket = SystemSocket::new(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        (Arc::new(socket), address)
    }

    /// Receives once, as quinn does; how many datagrams, or `None` if there are none now.
    fn receive(socket: &SystemSocket, cx: &mut Context<'_>) -> Option<usize> {
        let mut bytes = vec![0; BATCH_SIZE * 100];
        let mut buffers: Vec<_> = bytes.chunks_mut(100).map(IoSliceMut::new).collect();
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        match socket.poll_recv(cx, &mut buffers, &mut metas) {
            Poll::Ready(count) => Some(count.unwrap()),
            Poll::Pending => None,
        }
    }

    async fn next(socket: &SystemSocket) -> usize {
        poll_fn(|cx| receive(socket, cx).map_or(Poll::Pending, Poll::Ready)).await
    }

    #[test]
    fn what_comes_after_the_last_datagram_was_taken_is_told() {
        on_a_runtime(async {
            let (socket, address) = socket();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for burst in [1, 1, 3, BATCH_SIZE, 2 * BATCH_SIZE + 7, 1] {
                for _ in 0..burst {
                    sender.send_to(b"datagram", address).unwrap();
                }
                let mut received = 0;
                while received < burst {
                    received += next(&socket).await;
                }
                assert_eq!(received, burst);
                let nobody = &mut Context::from_waker(Waker::noop());
                assert_eq!(receive(&socket, nobody), None);
            }
        });
    }

    #[test]
    fn whoever_was_refused_waits_until_the_socket_may_be_written() {
        on_a_runtime(async {
            let (socket, address) = socket();
            let mut pollers = [0, 1].map(|_| Arc::clone(&socket).create_io_poller());
            let nobody = &mut Context::from_waker(Waker::noop());
            for poller in &mut pollers {
                assert!(poller.as_mut().poll_writable(nobody).is_ready());
            }
            // What a refused send does; over loopback none is refused.
            socket.watch().unwrap();
            for poller in &mut pollers {
                assert!(poller.as_mut().poll_writable(nobody).is_pending());
            }
            for poller in &mut pollers {
                poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
                assert!(socket.refusing().is_none());
            }
            let transmit = Transmit {
                destination: address,
                ecn: None,
                contents: b"datagram",
                segment_size: None,
                src_ip: None,
            };
            socket.try_send(&transmit).unwrap();
            assert_eq!(next(&socket).await, 1);
        });
    }
}
