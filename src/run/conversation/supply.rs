//! Contents that the host asks for.

use std::io::Cursor;
use std::path::Path;

use tokio::io::AsyncRead;

use super::{Conversation, Listener, Lost};
use crate::playbook::Body;
use crate::protocol::{Advance, Message, Sha256, Step};
use crate::run::counted::Counted;

impl<L: Listener> Conversation<'_, L> {
    /// Sends what the host asks for, if it is part of this run.
    pub(super) async fn supply(&mut self, sha256: Sha256) -> Result<(), Lost> {
        let unavailable = |reason: String| Message::ContentUnavailable { sha256, reason };
        match self.bodies.get(&sha256).cloned() {
            None => {
                let reason = "it is not part of this run".to_owned();
                self.say(&unavailable(reason)).await
            }
            Some(Body::Text(text)) => {
                let size = text.len() as u64;
                let reader = Cursor::new(text.as_bytes());
                self.send_content(sha256, size, reader).await
            }
            Some(Body::File(path)) => match open(&path).await {
                Ok((size, file)) => self.send_content(sha256, size, file).await,
                Err(error) => {
                    let reason = format!("cannot read {}: {error}", path.display());
                    self.say(&unavailable(reason)).await
                }
            },
        }
    }

    /// The helper says nothing while it takes a content, so there is nothing to listen to.
    async fn send_content(
        &mut self,
        sha256: Sha256,
        size: u64,
        reader: impl AsyncRead + Unpin,
    ) -> Result<(), Lost> {
        let limit = self.clock.sending(size);
        let (listener, id) = (&mut *self.listener, self.finished);
        let reader = Counted::new(reader, |done| {
            let step = Step::Send;
            let total = size;
            listener.advanced(id, Advance { step, done, total });
        });
        let sending = self.channel.send_content(sha256, size, reader);
        Ok(self.clock.of_step(limit, Lost::Deaf, sending).await??)
    }
}

async fn open(path: &Path) -> std::io::Result<(u64, tokio::fs::File)> {
    let file = tokio::fs::File::open(path).await?;
    Ok((file.metadata().await?.len(), file))
}
