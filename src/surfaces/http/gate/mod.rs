//! The gate of a connection: reads each head before actix-http does, so that every refusal is ours.
//!
//! actix-http answers what it cannot parse by itself, without a body or a request id, and keeps of
//! a request target only what its `Uri` keeps. The [`Gate`] lies between it and the socket, and
//! only on the way in: bytes pass through unchanged until a head is one that actix-http would not
//! take, or not as it was sent. Then the head is replaced by a stand-in that names [`STAND_IN`] as
//! its target, with a [note](Notes) of what was there, and the request that comes out at the other
//! end looks up its note. So order among requests in a pipeline, answers, and closing stay
//! actix-http's business.
//!
//! `head.rs` judges heads, `body.rs` follows bodies to the next head. Both ask actix-http's own
//! decoder, which so decodes each head twice, because the two must not differ: what passes here is
//! not refused there, and both see each request begin and end at the same byte.

mod body;
mod head;

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use actix_http::ServiceConfig;
use actix_rt::net::TcpStream;
use actix_web::HttpRequest;
use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use self::head::Judged;
pub use self::{
    body::{Body, IllFramed},
    head::judge,
};
use super::{CLOSE_TIME_MAX, HEAD_TIME_MAX, problem::Problem};

/// The target of a head that stands for another. A client that sends it gets a note like everybody
/// whose target is odd, so nobody can take the note of another request.
const STAND_IN: &str = "/-";
/// Stands for a request of which nothing was understood.
const STAND_IN_HEAD: &[u8] = b"GET /- HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";
/// Room that a connection keeps for the heads to come.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// What was sent in place of a stand-in: a target too long for a `Uri`, or why it is refused.
type Note = Result<String, Problem>;

/// The way from a gate to the requests of its connection: room for one note.
#[derive(Default)]
pub struct Notes {
    note: RefCell<Option<Note>>,
    gate: Cell<Option<Waker>>,
}

impl Notes {
    fn leave(&self, note: Note) {
        *self.note.borrow_mut() = Some(note);
    }

    fn take(&self) -> Option<Note> {
        if let Some(gate) = self.gate.take() {
            gate.wake();
        }
        self.note.take()
    }

    /// Whether the last note is still unread; the gate is woken when it is taken.
    fn is_unread(&self, context: &Context<'_>) -> bool {
        let unread = self.note.borrow().is_some();
        if unread {
            self.gate.set(Some(context.waker().clone()));
        }
        unread
    }
}

/// What the gate noted of `request`, if its head is a stand-in.
pub fn note_of(request: &HttpRequest) -> Option<Note> {
    if request.uri() != STAND_IN {
        return None;
    }
    request.conn_data::<Rc<Notes>>()?.take()
}

/// A socket whose heads are judged as they come in.
pub struct Gate {
    stream: TcpStream,
    /// For decoders.
    config: ServiceConfig,
    notes: Rc<Notes>,
    /// Was read and is not passed on.
    held: BytesMut,
    /// How much of `held`, from its front, may be passed on.
    passing: usize,
    /// How much of `held` was looked at in vain for the end of a head.
    searched: usize,
    /// What is still to come of the body of the last head that was passed on.
    body: Body,
    /// Until when a head must be complete, or at the end until when the client must close.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Nothing more is passed on.
    ended: bool,
}

impl Gate {
    /// Waits for the first head on `stream`.
    pub fn new(stream: TcpStream, config: ServiceConfig) -> Self {
        Self {
            stream,
            config,
            notes: Rc::default(),
            held: BytesMut::new(),
            passing: 0,
            searched: 0,
            body: Body::Done,
            deadline: Some(Box::pin(sleep(HEAD_TIME_MAX))),
            ended: false,
        }
    }

    /// Where the requests of this connection find their notes.
    pub fn notes(&self) -> Rc<Notes> {
        Rc::clone(&self.notes)
    }

    /// Looks how much of what is held may be passed on.
    fn judge(&mut self) {
        if self.body.is_done() {
            self.judge_head();
            return;
        }
        match self.body.take(&self.held) {
            Ok(length) => self.passing = length,
            Err(IllFramed) => self.ended = true,
        }
    }

    fn judge_head(&mut self) {
        // Empty lines may come before a head. They go at once, so that they cost nothing later; its
        // time has begun all the same, or they would hold a connection for ever.
        let blank = self.held.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        if blank > 0 {
            self.held.advance(blank);
            self.begin_head();
        }
        // Only a new end of a line can make it whole; its first bytes tell whether it is HTTP.
        let (before, now) = (self.searched, self.held.len());
        let may_be_whole = before == 0 || self.held[before..].contains(&b'\n');
        if now == before || !may_be_whole && now < head::BYTES_MAX {
            self.searched = now;
            return;
        }
        self.searched = now;
        match judge(&self.held, &self.config) {
            Ok(Some(head)) => self.admit(head),
            Ok(None) => self.begin_head(),
            Err(problem) => self.refuse(problem),
        }
    }

    /// The time of a head begins, unless it has.
    fn begin_head(&mut self) {
        self.deadline.get_or_insert_with(|| Box::pin(sleep(HEAD_TIME_MAX)));
    }

    fn admit(&mut self, head: Judged) {
        let Judged { length, changed, body } = head;
        if let Some((note, bytes)) = changed {
            self.held = bytes;
            self.notes.leave(note);
        }
        (self.passing, self.searched, self.body, self.deadline) = (length, 0, body, None);
    }

    /// Ends the connection with an answer.
    fn refuse(&mut self, problem: Problem) {
        self.notes.leave(Err(problem));
        self.held = BytesMut::from(STAND_IN_HEAD);
        (self.passing, self.deadline, self.ended) = (STAND_IN_HEAD.len(), None, true);
    }

    fn pass(&mut self, out: &mut ReadBuf<'_>) {
        let length = self.passing.min(out.remaining());
        out.put_slice(&self.held[..length]);
        self.held.advance(length);
        self.passing -= length;
        if self.held.is_empty() && self.held.capacity() > KEPT_BYTES_MAX {
            self.held = BytesMut::new();
        }
    }

    /// Reads more. What belongs to a body is left in `out`; the rest is held.
    fn poll_more(
        &mut self,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, out))?;
        let fresh = &out.filled()[before..];
        if fresh.is_empty() {
            self.finish();
            return Poll::Ready(Ok(()));
        }
        // The reader of an ill-framed body is told that it ends here, and refuses it.
        let taken = self.body.take(fresh).unwrap_or_else(|IllFramed| {
            self.ended = true;
            0
        });
        self.held.extend_from_slice(&fresh[taken..]);
        out.set_filled(before + taken);
        Poll::Ready(Ok(()))
    }

    /// The client sends nothing more.
    fn finish(&mut self) {
        if self.body.is_done() && !self.held.is_empty() {
            self.refuse(Problem::bad_request("head", "cut off", "complete"));
        } else {
            (self.deadline, self.ended) = (None, true);
        }
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready())
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let before = out.filled().len();
        loop {
            if gate.passing > 0 {
                gate.pass(out);
            }
            if out.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            if gate.body.is_done() && gate.notes.is_unread(context) {
                return Poll::Pending;
            }
            if gate.ended {
                return Poll::Ready(Ok(()));
            }
            gate.judge();
            if gate.passing > 0 || gate.ended {
                continue;
            }
            if gate.is_late(context) {
                gate.refuse(Problem::request_timeout("the head", HEAD_TIME_MAX));
                continue;
            }
            ready!(gate.poll_more(context, out))?;
        }
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    /// A socket that is closed while bytes are unread resets its connection, and the answer may be
    /// lost on the way. So after a refusal what still comes is read and dropped, for a while.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        ready!(Pin::new(&mut gate.stream).poll_shutdown(context))?;
        if !gate.ended {
            return Poll::Ready(Ok(()));
        }
        let deadline = gate.deadline.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIME_MAX)));
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = [0; 4096];
        loop {
            let mut dropped = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut gate.stream).poll_read(context, &mut dropped))?;
            if dropped.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
