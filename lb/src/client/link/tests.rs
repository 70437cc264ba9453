use super::*;

const CLIENT: Duration = Duration::from_secs(60);
const TARGET: Duration = Duration::from_secs(10);

fn link() -> Link {
    Link::new(&Config {
        client_timeout: CLIENT,
        target_timeout: TARGET,
        min_client_rate: 1000,
        ..Config::default()
    })
}

#[test]
fn a_client_that_sends_nothing_is_overdue_after_its_timeout() {
    let link = link();
    let born = link.born;
    assert_eq!(link.latest(born), born + TARGET);
    assert_eq!(link.due(born + TARGET), Due::At(born + 2 * TARGET));
    assert_eq!(link.due(born + CLIENT - TARGET / 2), Due::At(born + CLIENT));
    assert_eq!(link.due(born + CLIENT), Due::Overdue);
}

#[test]
fn a_connection_is_unused_when_nothing_is_half_done() {
    let link = link();
    let second = Duration::from_secs(1);
    let later = link.born + 2 * second;
    assert!(!link.is_unused(link.born, second));
    assert!(link.is_unused(later, second));
    link.has_read(1);
    assert!(!link.is_unused(later, second), "a head has begun");
    link.begin();
    assert!(!link.is_unused(later, second), "a request is under way");
    link.has_written(&Poll::Pending);
    link.end(later);
    let later = later + 2 * second;
    assert!(
        !link.is_unused(later, second),
        "its client has not taken the answer yet"
    );
    link.has_written(&Poll::Ready(Ok(1)));
    assert!(link.is_unused(later, second));
}

#[test]
fn a_request_on_which_nothing_moves_expires_and_then_loses_its_connection() {
    let link = link();
    let begun = link.begin();
    assert!(matches!(link.due(begun + TARGET / 2), Due::At(_)));
    assert!(!link.is_expired());
    let late = begun + TARGET + Duration::from_millis(1);
    assert_eq!(link.due(late), Due::Expired(late + TARGET));
    assert!(link.is_expired());
    assert_eq!(link.due(late + TARGET), Due::Overdue);
}

/// Sets the last sign of life so long back.
fn lag(link: &Link, by: Duration) {
    let since = Instant::now().checked_sub(by).unwrap();
    link.quiet_since.store(link.since_born(since), Relaxed);
}

#[test]
fn a_byte_of_a_body_that_trickles_in_buys_its_time_and_no_more() {
    let mut link = link();
    link.born = link.born.checked_sub(CLIENT).unwrap();
    link.begin();
    link.set_receiving(true);
    lag(&link, TARGET);
    let before = link.quiet_since();
    link.has_read(1);
    assert_eq!(link.quiet_since(), before + Duration::from_millis(1));
    link.has_read(1_000_000);
    assert!(
        link.quiet_since() > before + TARGET,
        "nobody buys the future"
    );
    assert!(link.quiet_since() <= Instant::now());
}

#[test]
fn a_client_that_takes_little_lags_and_one_that_is_given_little_does_not() {
    let mut link = link();
    link.born = link.born.checked_sub(CLIENT).unwrap();
    link.begin();
    lag(&link, TARGET);
    let before = link.quiet_since();
    link.has_written(&Poll::Ready(Ok(1)));
    assert!(link.quiet_since() >= before + TARGET);
    lag(&link, TARGET);
    let before = link.quiet_since();
    link.has_written(&Poll::Pending);
    link.has_written(&Poll::Ready(Ok(1)));
    assert_eq!(link.quiet_since(), before + Duration::from_millis(1));
}

#[test]
fn a_request_that_waits_for_its_turn_does_not_expire() {
    let link = link();
    let begun = link.begin();
    link.set_held(true);
    assert!(matches!(link.due(begun + 10 * TARGET), Due::At(_)));
    link.set_held(false);
    assert!(matches!(link.due(begun + 10 * TARGET), Due::Expired(_)));
}

#[test]
fn the_last_bytes_of_an_answer_set_the_clock_when_it_ends_and_all_others_at_once() {
    let mut link = link();
    link.born = link.born.checked_sub(CLIENT).unwrap();
    link.begin();
    lag(&link, TARGET);
    let before = link.quiet_since();
    link.has_written_all(&Poll::Ready(Ok(1)));
    assert_eq!(link.quiet_since(), before);
    link.has_written(&Poll::Ready(Ok(1)));
    assert!(link.quiet_since() >= before + TARGET, "more is to follow");
    lag(&link, TARGET);
    link.has_written(&Poll::Pending);
    let before = Instant::now();
    link.has_written_all(&Poll::Ready(Ok(1)));
    assert!(link.quiet_since() >= before, "it has made us wait");
    link.end(link.born);
    assert!(link.quiet_since() >= before, "no clock goes back");
    let later = Instant::now() + TARGET;
    link.end(later);
    assert_eq!(link.quiet_since(), later);
}

#[test]
fn a_client_that_keeps_tls_waiting_has_its_time_for_the_next_request_when_it_has_taken_all() {
    let mut link = link();
    link.born = link.born.checked_sub(CLIENT).unwrap();
    let begun = link.begin();
    link.has_written_all(&Poll::Ready(Ok(1)));
    lag(&link, TARGET);
    let lagging = link.quiet_since();
    link.has_flushed(true);
    assert_eq!(link.quiet_since(), lagging, "it has taken nothing yet");
    let later = Instant::now() + TARGET;
    link.exchanging.store(false, Relaxed);
    assert!(!link.is_unused(later, Duration::ZERO));
    let before = Instant::now();
    link.has_flushed(false);
    assert!(link.is_unused(later, Duration::ZERO));
    link.end(begun);
    assert!(link.quiet_since() >= before);
    lag(&link, TARGET);
    let lagging = link.quiet_since();
    link.has_flushed(false);
    assert_eq!(link.quiet_since(), lagging, "nothing was waited for");
}
