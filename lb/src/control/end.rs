//! The end of a control loop: listeners close, requests go on for a while.

use std::time::Instant;

use tokio::pin;
use tokio::time::{interval_at, timeout};
use tracing::warn;

use super::{Control, LONGEST_SAVE, REPORT_INTERVAL, sleep_until_some};
use crate::succession::Progress;
use crate::worker::{LAST_REQUEST, Worker};

impl Control {
    /// Closes every listener; returns the workers' threads, which end with their last requests.
    pub(crate) fn stop(&mut self) -> Vec<std::thread::JoinHandle<()>> {
        // A socket that is kept here would be one from which nobody accepts.
        self.open.clear();
        self.progress.send_replace(Progress::default());
        let workers = std::mem::take(&mut self.workers);
        workers.into_iter().map(Worker::stop).collect()
    }

    /// After `stop`, still cuts at deadlines, and says where requests are left; returns what `ended` does.
    pub(crate) async fn finish<T>(&self, ended: impl Future<Output = T>) -> T {
        pin!(ended);
        // By then who was just sending a request has sent it.
        let last_begin = self.shared.config.stop_timeout.max(LAST_REQUEST);
        let mut tick = interval_at((Instant::now() + last_begin).into(), REPORT_INTERVAL);
        loop {
            let deadline = self.registry.next_deadline(Instant::now());
            tokio::select! {
                ended = &mut ended => return ended,
                () = sleep_until_some(deadline) => self.cut_overdue(),
                _ = tick.tick() => {
                    self.progress.send_replace(Progress {
                        busy: self.registry.close(),
                        ..Progress::default()
                    });
                }
            }
        }
    }

    /// Waits until the newest table is on disk, where the next process of this node begins with it; not for long, for the disk
    /// may be full.
    pub(crate) async fn until_saved(&mut self) {
        let number = self.newest.borrow().number;
        let saved = self.saved.wait_for(|saved| *saved >= number);
        if timeout(LONGEST_SAVE, saved).await.is_err() {
            warn!(
                "the newest routing table is not on disk: the next start begins with an older one"
            );
        }
    }
}
