//! How far a reader has been read.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Tells how much of a content has been read.
pub(super) struct Counted<R, F> {
    reader: R,
    read: u64,
    tell: F,
}

impl<R, F: FnMut(u64)> Counted<R, F> {
    /// Calls `tell` with the number of bytes so far, after each piece.
    pub(super) fn new(reader: R, tell: F) -> Self {
        Self {
            reader,
            read: 0,
            tell,
        }
    }
}

impl<R: AsyncRead + Unpin, F: FnMut(u64) + Unpin> AsyncRead for Counted<R, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = into.filled().len();
        let ready = Pin::new(&mut self.reader).poll_read(context, into);
        if ready.is_ready() {
            self.read += (into.filled().len() - before) as u64;
            let read = self.read;
            (self.tell)(read);
        }
        ready
    }
}
