//! What a predecessor tells its successor while it ends its requests: first that systemd listens to the successor now, and then where it still
//! has some. So drains of all other targets end without waiting for it.

use std::collections::BTreeSet;

use roadstead_lb::TargetName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Longer than the names of all targets of a host.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// One line of the link. Read by the version before, and the one after: fields are added with a default, and unknown ones left alone.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Word {
    /// `None` as long as requests may still begin anywhere.
    #[serde(default)]
    pub(super) busy: Option<BTreeSet<TargetName>>,
}

impl Word {
    /// Returns it as it is said.
    pub(super) fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// Hears what is said, and passes it on, until the link closes. Of what is not understood nothing is known.
pub(super) async fn hear(link: impl AsyncRead + Unpin, heard: mpsc::Sender<Word>) {
    let mut link = BufReader::new(link);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut link)
            .take(MOST_BYTES)
            .read_until(b'\n', &mut line)
            .await;
        if matches!(read, Ok(0) | Err(_)) {
            return;
        }
        let word = serde_json::from_slice(&line).unwrap_or_default();
        if heard.send(word).await.is_err() {
            return;
        }
    }
}

/// Says it; returns whether there was somebody who may hear it.
pub(super) async fn say(link: &UnixStream, line: &[u8]) -> bool {
    let mut left = line;
    while !left.is_empty() {
        if link.writable().await.is_err() {
            return false;
        }
        match link.try_write(left) {
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(said: &[u8]) -> Vec<Word> {
        let (sender, mut words) = mpsc::channel(16);
        hear(said, sender).await;
        let mut heard = Vec::new();
        words.recv_many(&mut heard, 16).await;
        heard
    }

    #[tokio::test]
    async fn what_is_said_is_heard_until_the_end() {
        let busy = |ids: &[&str]| Word {
            busy: Some(
                ids.iter()
                    .map(|id| ("web".to_owned(), (*id).to_owned()))
                    .collect(),
            ),
        };
        let words = [Word::default(), busy(&["a", "b"]), busy(&[])];
        let said: Vec<u8> = words.iter().flat_map(|word| word.line().unwrap()).collect();
        assert_eq!(heard(&said).await, words);
    }

    #[tokio::test]
    async fn of_what_is_not_understood_nothing_is_known() {
        let said = b"{\"busy\": [], \"weather\": 1}\n{\"busy\": 7}\n";
        let nothing = Word {
            busy: Some(BTreeSet::new()),
        };
        assert_eq!(heard(said).await, [nothing, Word::default()]);
    }
}
