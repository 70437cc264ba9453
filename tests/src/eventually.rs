//! Waiting for a condition with a deadline: the only way in which a test waits.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep, timeout_at};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Returns what `condition` yields, as soon as it yields something.
///
/// `Ok(None)` and `Err` both mean "not yet"; the last error is kept for the report, because it usually is the
/// reason.
///
/// # Errors
/// Fails when `deadline` has passed, and says what was waited for.
pub async fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let until = Instant::now() + deadline;
    let mut last = None;
    while Instant::now() < until {
        match timeout_at(until, condition()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_) => {
                bail!("gave up on {what}: one look took longer than was left of {deadline:?}")
            }
        }
        sleep(BETWEEN_LOOKS).await;
    }
    let waited = format!("gave up on {what} after {deadline:?}");
    match last {
        Some(error) => Err(error).context(waited),
        None => bail!(waited),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_late_is_waited_for() {
        let mut looks = 0;
        let seen = eventually(Duration::from_secs(5), "the third look", async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(seen.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn giving_up_names_the_condition_and_the_last_reason() {
        let never = eventually::<()>(Duration::from_millis(50), "rain", async || {
            Err(anyhow!("no cloud"))
        });
        let text = format!("{:#}", never.await.unwrap_err());
        assert_eq!(text, "gave up on rain after 50ms: no cloud");
    }
}
