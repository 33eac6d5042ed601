//! What the far side prints on stderr: the last of it is kept, and sudo's prompt is watched for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How many bytes are kept.
const KEPT: usize = 16 * 1024;

/// The end of a stderr that is read, and thrown away, in the background.
#[derive(Debug)]
pub(super) struct Stderr {
    tail: Arc<Mutex<VecDeque<u8>>>,
    prompts: watch::Receiver<usize>,
    reader: JoinHandle<()>,
}

impl Stderr {
    /// Reads `stream` to its end. Each appearance of `prompt` is counted and not kept.
    pub(super) fn read(mut stream: impl AsyncRead + Unpin + Send + 'static, prompt: &str) -> Self {
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (count, prompts) = watch::channel(0);
        let (kept, prompt) = (Arc::clone(&tail), prompt.as_bytes().to_vec());
        let reader = tokio::spawn(async move {
            let mut piece = [0; 4096];
            // A broken pipe is the end too: nobody can say more about it than stdout's reader.
            while let Ok(length @ 1..) = stream.read(&mut piece).await {
                let mut tail = kept.lock().unwrap_or_else(PoisonError::into_inner);
                tail.extend(&piece[..length]);
                while let Some(place) = find(tail.make_contiguous(), &prompt) {
                    tail.drain(place..place + prompt.len());
                    count.send_modify(|count| *count += 1);
                }
                let surplus = tail.len().saturating_sub(KEPT);
                tail.drain(..surplus);
            }
        });
        Self {
            tail,
            prompts,
            reader,
        }
    }

    /// Waits until the prompt has been shown more than `answered` times; forever if it never is.
    pub(super) async fn prompted(&mut self, answered: usize) {
        if self
            .prompts
            .wait_for(|count| *count > answered)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// The last of what was printed so far.
    pub(super) fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last of what was printed, once the stream has ended or `patience` is over (a child
    /// that lives on may hold it open).
    pub(super) async fn rest(&mut self, patience: Duration) -> String {
        // Neither a timeout nor a cancelled reader changes what is there to show.
        let _ = timeout(patience, &mut self.reader).await;
        self.tail()
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Where `needle` begins in `hay`; an empty needle is nowhere.
pub(super) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    hay.windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn keeps_the_end_of_an_endless_stream() {
        let mut text = "x".repeat(1_000_000);
        text.push_str("the end");
        let mut stderr = Stderr::read(std::io::Cursor::new(text), "");
        let rest = stderr.rest(Duration::from_secs(5)).await;
        assert_eq!(rest.len(), KEPT);
        assert!(rest.ends_with("the end"));
    }

    #[tokio::test]
    async fn sees_a_prompt_that_arrives_in_pieces() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut stderr = Stderr::read(near, "[sudo 1] ");
        far.write_all(b"lecture\n[su").await.unwrap();
        assert!(
            timeout(Duration::from_millis(50), stderr.prompted(0))
                .await
                .is_err()
        );
        far.write_all(b"do 1] ").await.unwrap();
        stderr.prompted(0).await;
        assert!(
            timeout(Duration::from_millis(50), stderr.prompted(1))
                .await
                .is_err()
        );
        drop(far);
        assert_eq!(stderr.rest(Duration::from_secs(5)).await, "lecture\n");
    }
}
