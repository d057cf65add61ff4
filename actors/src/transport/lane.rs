//! A lane: frames over one long-lived QUIC stream in each direction.
//!
//! On the wire each direction is a preamble (magic, format version, lane tag), then frames, each a
//! length of 4 bytes, little endian, and that many bytes. Going out, frames gather in an
//! [`Outbox`] while the stream is busy, and one task writes what has gathered at once. Coming in,
//! [`Deframer`] cuts frames out of what QUIC received without copying them; only a frame that
//! straddles two packets is put together.

use std::{cell::RefCell, mem};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use tokio::sync::Notify;

use super::{Frame, Lane, SendError};

/// Bytes of a frame's length.
const PREFIX: usize = 4;
/// From this length on, in bytes, a tail is handed to QUIC as it is; a shorter one is cheaper to
/// copy than to keep apart.
const SHARED_TAIL_BYTES_MIN: usize = 16 << 10;
/// Room for gathered frames, allocated at a time.
const GATHERED_BYTES: usize = 16 << 10;
/// What a frame's length alone makes us allocate; the rest only as its bytes arrive.
const CLAIM_BYTES_MAX: usize = 64 << 10;
/// Packets taken in one read.
const CHUNKS_PER_READ: usize = 32;
/// Frames after which a reader lets others run.
const FRAMES_PER_TURN: usize = 256;

const MAGIC: [u8; 4] = *b"HNGE";
const FORMAT: u8 = 1;
const PREAMBLE: usize = MAGIC.len() + 2;

/// Why a lane, and its link with it, cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    /// The connection or the stream is gone.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The connection or the stream is gone.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// The peer ended a lane.
    #[error("the peer ended its {0} lane")]
    Ended(Lane),
    /// The preamble is of another protocol.
    #[error("the {0} lane does not begin with the magic of a Henge lane")]
    BadMagic(Lane),
    /// The preamble is of another version.
    #[error("lane format {found} is not known; this node knows {FORMAT}")]
    UnknownFormat {
        /// What came.
        found: u8,
    },
    /// The lanes are mixed up.
    #[error("expected the {expected} lane, found lane tag {found}")]
    WrongLane {
        /// The lane that was due.
        expected: Lane,
        /// The tag that came.
        found: u8,
    },
    /// A frame is longer than its lane carries.
    #[error("a frame of {size} bytes on the {lane} lane, at most {max} are legal")]
    FrameTooLarge {
        /// Where.
        lane: Lane,
        /// The length that the frame claims, in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
}

const fn tag(lane: Lane) -> u8 {
    match lane {
        Lane::Control => 0,
        Lane::Request => 1,
    }
}

/// Begins the outgoing direction of `lane`.
pub(super) async fn write_preamble(stream: &mut SendStream, lane: Lane) -> Result<(), LaneError> {
    let [a, b, c, d] = MAGIC;
    Ok(stream.write_all(&[a, b, c, d, FORMAT, tag(lane)]).await?)
}

/// Checks the beginning of the incoming direction of `lane`.
pub(super) async fn read_preamble(stream: &mut RecvStream, lane: Lane) -> Result<(), LaneError> {
    let mut preamble = [0; PREAMBLE];
    read_exact(stream, lane, &mut preamble).await?;
    let [a, b, c, d, format, found] = preamble;
    if [a, b, c, d] != MAGIC {
        return Err(LaneError::BadMagic(lane));
    }
    if format != FORMAT {
        return Err(LaneError::UnknownFormat { found: format });
    }
    if found != tag(lane) {
        return Err(LaneError::WrongLane { expected: lane, found });
    }
    Ok(())
}

/// Writes one frame before the lane is in use.
pub(super) async fn write_first(stream: &mut SendStream, frame: &Bytes) -> Result<(), LaneError> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    stream.write_all(&length.to_le_bytes()).await?;
    Ok(stream.write_chunk(frame.clone()).await?)
}

/// Reads one frame before the lane is in use.
pub(super) async fn read_first(stream: &mut RecvStream, lane: Lane) -> Result<Bytes, LaneError> {
    let mut prefix = [0; PREFIX];
    read_exact(stream, lane, &mut prefix).await?;
    let mut frame = vec![0; frame_length(lane, lane.frame_bytes_max(), prefix)?];
    read_exact(stream, lane, &mut frame).await?;
    Ok(Bytes::from(frame))
}

async fn read_exact(
    stream: &mut RecvStream,
    lane: Lane,
    buffer: &mut [u8],
) -> Result<(), LaneError> {
    stream.read_exact(buffer).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(_) => LaneError::Ended(lane),
        ReadExactError::ReadError(error) => error.into(),
    })
}

/// The length in `prefix`, if it is at most `max`.
fn frame_length(lane: Lane, max: usize, prefix: [u8; PREFIX]) -> Result<usize, LaneError> {
    let size = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if size > max { Err(LaneError::FrameTooLarge { lane, size, max }) } else { Ok(size) }
}

/// Frames that wait to be sent on one lane. It is the bound on what a slow peer costs us: past it a
/// send is refused at once.
pub(super) struct Outbox {
    lane: Lane,
    bytes_max: usize,
    queue: RefCell<Queue>,
    ready: Notify,
}

struct Queue {
    /// Whole chunks in order; small frames are gathered behind them.
    chunks: Vec<Bytes>,
    gathered: BytesMut,
    /// Bytes that QUIC has not taken yet, those in the hands of [`Outbox::drain`] included.
    bytes: usize,
    open: bool,
}

impl Outbox {
    pub(super) fn new(lane: Lane, bytes_max: usize) -> Self {
        // Nothing is allocated for a lane that is idle.
        let queue = Queue { chunks: Vec::new(), gathered: BytesMut::new(), bytes: 0, open: true };
        Self { lane, bytes_max, queue: RefCell::new(queue), ready: Notify::new() }
    }

    /// Takes `frame`, or says at once why not.
    pub(super) fn push(&self, frame: &Frame) -> Result<(), SendError> {
        let size = frame.len();
        let max = self.lane.frame_bytes_max();
        let (Some(length), true) = (u32::try_from(size).ok(), size <= max) else {
            return Err(SendError::TooLarge { size, max });
        };
        let mut queue = self.queue.borrow_mut();
        if !queue.open {
            return Err(SendError::Closed);
        }
        let bytes = queue.bytes + PREFIX + size;
        // A frame alone is taken, however long it is: else it could never be sent.
        if bytes > self.bytes_max && queue.bytes > 0 {
            return Err(SendError::Busy { queued: queue.bytes, max: self.bytes_max });
        }
        queue.bytes = bytes;
        queue.put(length, frame);
        self.ready.notify_one();
        Ok(())
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.queue.borrow().bytes
    }

    /// Refuses everything from now on and ends [`Outbox::drain`].
    pub(super) fn close(&self) {
        let mut queue = self.queue.borrow_mut();
        queue.open = false;
        queue.chunks.clear();
        queue.gathered.clear();
        self.ready.notify_one();
    }

    /// Writes what gathers to `stream` until the outbox is closed.
    pub(super) async fn drain(&self, stream: &mut SendStream) -> Result<(), LaneError> {
        let mut batch = Vec::new();
        while self.take(&mut batch) {
            if batch.is_empty() {
                self.ready.notified().await;
            }
            let mut rest = &mut batch[..];
            while !rest.is_empty() {
                let written = stream.write_chunks(rest).await?;
                self.queue.borrow_mut().bytes -= written.bytes;
                rest = &mut rest[written.chunks..];
            }
            batch.clear();
        }
        Ok(())
    }

    /// Moves everything that waits into `batch`; false if the outbox is closed.
    fn take(&self, batch: &mut Vec<Bytes>) -> bool {
        let mut queue = self.queue.borrow_mut();
        queue.seal();
        mem::swap(batch, &mut queue.chunks);
        queue.open
    }
}

impl Queue {
    fn put(&mut self, length: u32, frame: &Frame) {
        let is_gathered = frame.tail.len() < SHARED_TAIL_BYTES_MIN;
        let copied = frame.header.len() + if is_gathered { frame.tail.len() } else { 0 };
        if self.gathered.capacity() - self.gathered.len() < PREFIX + copied {
            self.gathered.reserve(GATHERED_BYTES.max(PREFIX + copied));
        }
        self.gathered.put_u32_le(length);
        self.gathered.put_slice(&frame.header);
        if is_gathered {
            self.gathered.put_slice(&frame.tail);
        } else {
            self.seal();
            self.chunks.push(frame.tail.clone());
        }
    }

    /// Makes a chunk of what is gathered.
    fn seal(&mut self) {
        if !self.gathered.is_empty() {
            let gathered = self.gathered.split().freeze();
            self.chunks.push(gathered);
        }
    }
}

/// Cuts frames out of a stream of chunks.
pub(super) struct Deframer {
    lane: Lane,
    frame_bytes_max: usize,
    /// A length of which not all bytes are in.
    prefix: BytesMut,
    /// A frame of which not all bytes are in, and its length.
    partial: Option<(BytesMut, usize)>,
}

impl Deframer {
    pub(super) fn new(lane: Lane, frame_bytes_max: usize) -> Self {
        Self { lane, frame_bytes_max, prefix: BytesMut::with_capacity(PREFIX), partial: None }
    }

    /// Takes the next `chunk` and appends the frames that it completes to `frames`.
    pub(super) fn feed(
        &mut self,
        mut chunk: Bytes,
        frames: &mut Vec<Bytes>,
    ) -> Result<(), LaneError> {
        while !chunk.is_empty() {
            match self.partial.take() {
                Some((partial, length)) => self.complete(partial, length, &mut chunk, frames),
                None => self.begin(&mut chunk, frames)?,
            }
        }
        Ok(())
    }

    /// At a frame's length: takes the frame too if it is whole.
    fn begin(&mut self, chunk: &mut Bytes, frames: &mut Vec<Bytes>) -> Result<(), LaneError> {
        let missing = (PREFIX - self.prefix.len()).min(chunk.len());
        self.prefix.put(chunk.split_to(missing));
        let Ok(prefix) = <[u8; PREFIX]>::try_from(&self.prefix[..]) else { return Ok(()) };
        self.prefix.clear();
        let length = frame_length(self.lane, self.frame_bytes_max, prefix)?;
        if chunk.len() >= length {
            frames.push(chunk.split_to(length));
        } else {
            let mut partial = BytesMut::with_capacity(length.min(CLAIM_BYTES_MAX));
            partial.put(mem::take(chunk));
            self.partial = Some((partial, length));
        }
        Ok(())
    }

    /// Inside a frame.
    fn complete(
        &mut self,
        mut partial: BytesMut,
        length: usize,
        chunk: &mut Bytes,
        frames: &mut Vec<Bytes>,
    ) {
        let missing = (length - partial.len()).min(chunk.len());
        partial.put_slice(&chunk[..missing]);
        chunk.advance(missing);
        if partial.len() == length {
            frames.push(partial.freeze());
        } else {
            self.partial = Some((partial, length));
        }
    }
}

/// The frames of a lane whose stream comes in these chunks, or why it cannot go on: for fuzzing.
#[cfg(feature = "simulation")]
pub(crate) fn deframed(
    lane: Lane,
    chunks: impl IntoIterator<Item = Bytes>,
) -> Result<Vec<Bytes>, String> {
    let mut deframer = Deframer::new(lane, lane.frame_bytes_max());
    let mut frames = Vec::new();
    for chunk in chunks {
        deframer.feed(chunk, &mut frames).map_err(|error| error.to_string())?;
    }
    Ok(frames)
}

/// Reads frames of at most `frame_bytes_max` from `stream` and hands them to `deliver`, one batch per
/// read, until the lane fails.
pub(super) async fn read_frames(
    stream: &mut RecvStream,
    lane: Lane,
    frame_bytes_max: usize,
    mut deliver: impl FnMut(Vec<Bytes>),
) -> LaneError {
    let mut deframer = Deframer::new(lane, frame_bytes_max);
    let mut chunks = [const { Bytes::new() }; CHUNKS_PER_READ];
    let mut frames_this_turn = 0;
    loop {
        let read = match stream.read_chunks(&mut chunks).await {
            Ok(Some(read)) => read,
            Ok(None) => return LaneError::Ended(lane),
            Err(error) => return error.into(),
        };
        let mut frames = Vec::new();
        for chunk in &mut chunks[..read] {
            if let Err(error) = deframer.feed(mem::take(chunk), &mut frames) {
                return error;
            }
        }
        frames_this_turn += frames.len();
        if !frames.is_empty() {
            deliver(frames);
        }
        if frames_this_turn >= FRAMES_PER_TURN {
            frames_this_turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL_MAX: usize = Lane::Control.frame_bytes_max();
    const REQUEST_MAX: usize = Lane::Request.frame_bytes_max();

    fn encoded(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut wire = Vec::new();
        for frame in frames {
            wire.put_u32_le(u32::try_from(frame.len()).unwrap());
            wire.put_slice(frame);
        }
        wire
    }

    proptest::proptest! {
        #[test]
        fn frames_survive_any_cutting_into_packets(
            frames in proptest::collection::vec(proptest::collection::vec(0u8.., 0..40), 0..20),
            cuts in proptest::collection::vec(1usize..50, 1..50),
        ) {
            let mut wire = Bytes::from(encoded(&frames));
            let mut deframer = Deframer::new(Lane::Control, CONTROL_MAX);
            let mut seen = Vec::new();
            for cut in cuts.iter().cycle() {
                if wire.is_empty() {
                    break;
                }
                deframer.feed(wire.split_to((*cut).min(wire.len())), &mut seen).unwrap();
            }
            proptest::prop_assert_eq!(seen, frames);
        }
    }

    #[test]
    fn a_whole_frame_is_not_copied() {
        let wire = Bytes::from(encoded(&[vec![7; 100], vec![8; 100]]));
        let mut frames = Vec::new();
        Deframer::new(Lane::Request, REQUEST_MAX).feed(wire.clone(), &mut frames).unwrap();
        assert_eq!(frames[1].as_ptr(), wire[108..].as_ptr());
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_by_its_length_alone() {
        let claim = u32::try_from(Lane::Control.frame_bytes_max() + 1).unwrap();
        let wire = Bytes::copy_from_slice(&claim.to_le_bytes());
        let refused = Deframer::new(Lane::Control, CONTROL_MAX).feed(wire, &mut Vec::new());
        assert!(matches!(refused, Err(LaneError::FrameTooLarge { size: 65_537, max: 65_536, .. })));
    }

    #[test]
    fn a_claimed_length_allocates_little() {
        let mut wire = encoded(&[vec![1; Lane::Request.frame_bytes_max()]]);
        wire.truncate(PREFIX + 1);
        let mut deframer = Deframer::new(Lane::Request, REQUEST_MAX);
        deframer.feed(Bytes::from(wire), &mut Vec::new()).unwrap();
        assert!(deframer.partial.unwrap().0.capacity() <= CLAIM_BYTES_MAX);
    }

    #[test]
    fn a_long_tail_is_shared_and_a_short_one_gathered() {
        let outbox = Outbox::new(Lane::Request, 1 << 20);
        let tail = Bytes::from(vec![3; SHARED_TAIL_BYTES_MIN]);
        outbox.push(&Frame::with_tail(vec![1], Bytes::from_static(b"short"))).unwrap();
        outbox.push(&Frame::with_tail(vec![2], tail.clone())).unwrap();
        outbox.push(&Frame::new(vec![4])).unwrap();
        let mut chunks = Vec::new();
        assert!(outbox.take(&mut chunks));
        assert_eq!(chunks.len(), 3);
        assert_eq!(&chunks[0][..], b"\x06\0\0\0\x01short\x01\x40\0\0\x02");
        assert_eq!(chunks[1].as_ptr(), tail.as_ptr());
        assert_eq!(&chunks[2][..], b"\x01\0\0\0\x04");
    }

    #[test]
    fn a_full_outbox_refuses_at_once_with_its_numbers() {
        let outbox = Outbox::new(Lane::Control, 20);
        outbox.push(&Frame::new(vec![0; 12])).unwrap();
        let refused = outbox.push(&Frame::new(vec![0; 1]));
        assert_eq!(refused, Err(SendError::Busy { queued: 16, max: 20 }));
        outbox.close();
        assert_eq!(outbox.push(&Frame::new(vec![])), Err(SendError::Closed));
    }
}
