//! What a predecessor tells its successor while it ends its requests: where it still has some. So drains of all other targets end without
//! waiting for it.

use std::collections::BTreeSet;

use roadstead_lb::TargetName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;

/// Longer than the names of all targets of a host.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// One line of the link. Read by the version before, and the one after: fields are added with a default, and unknown ones left alone.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Word {
    #[serde(default)]
    pub(super) busy: BTreeSet<TargetName>,
}

impl Word {
    /// Returns it as it is said.
    pub(super) fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// Hears what is said, and gives it to `heard`, until the link closes. What is not understood is the last: then nothing is known any more.
pub(super) async fn hear(link: impl AsyncRead + Unpin, mut heard: impl FnMut(Option<Word>)) {
    let mut link = BufReader::new(link);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut link)
            .take(MOST_BYTES)
            .read_until(b'\n', &mut line)
            .await;
        match (read, serde_json::from_slice(&line)) {
            (Ok(0) | Err(_), _) => return,
            (Ok(_), Ok(word)) => heard(Some(word)),
            (Ok(_), Err(_)) => heard(None),
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

    #[tokio::test]
    async fn what_is_said_is_heard_until_the_end() {
        let busy = |ids: &[&str]| Word {
            busy: ids
                .iter()
                .map(|id| ("web".to_owned(), (*id).to_owned()))
                .collect(),
        };
        let words = [busy(&["a", "b"]), busy(&[])];
        let said: Vec<u8> = words.iter().flat_map(|word| word.line().unwrap()).collect();
        let mut heard = Vec::new();
        hear(&said[..], |word| heard.push(word.unwrap())).await;
        assert_eq!(heard, words);
    }

    #[tokio::test]
    async fn of_what_is_not_understood_nothing_is_known() {
        let mut heard = Vec::new();
        let said = b"{\"busy\": [], \"weather\": 1}\n{\"busy\": 7}\n";
        hear(&said[..], |word| heard.push(word)).await;
        assert_eq!(heard, [Some(Word::default()), None]);
    }
}
