//! What a path asks the service to do.

use std::time::Duration;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Greet,
    /// Show the request's headers.
    Headers,
    /// Begin a session.
    LogIn,
    Wait(Duration),
    TakeMemory {
        mib: usize,
    },
    Exit(i32),
    Unknown,
}

pub(crate) fn action(path: &str, query: &str) -> Action {
    match path {
        "/" | "/health" => Action::Greet,
        "/headers" => Action::Headers,
        "/login" => Action::LogIn,
        "/slow" => number(query, "ms").map_or(Action::Unknown, |ms| {
            Action::Wait(Duration::from_millis(u64::from(ms)))
        }),
        "/memory" => number(query, "mib")
            .and_then(|mib| usize::try_from(mib).ok())
            .map_or(Action::Unknown, |mib| Action::TakeMemory { mib }),
        "/exit" => number(query, "code")
            .and_then(|code| i32::try_from(code).ok())
            .map_or(Action::Unknown, Action::Exit),
        _ => Action::Unknown,
    }
}

fn number(query: &str, name: &str) -> Option<u32> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.parse().ok())
}

pub(crate) async fn carry_out(action: Action) {
    match action {
        Action::Wait(time) => tokio::time::sleep(time).await,
        // Written to, so that the pages are really there, and leaked, so that they stay.
        Action::TakeMemory { mib } => {
            let _kept = vec![1_u8; mib << 20].leak();
        }
        Action::Exit(code) => std::process::exit(code),
        Action::Greet | Action::Headers | Action::LogIn | Action::Unknown => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_to_do() {
        assert_eq!(action("/", ""), Action::Greet);
        assert_eq!(action("/headers", ""), Action::Headers);
        assert_eq!(action("/login", ""), Action::LogIn);
        assert_eq!(
            action("/slow", "ms=250"),
            Action::Wait(Duration::from_millis(250))
        );
        assert_eq!(
            action("/memory", "x=1&mib=64"),
            Action::TakeMemory { mib: 64 }
        );
        assert_eq!(action("/exit", "code=3"), Action::Exit(3));
    }

    #[test]
    fn a_missing_or_bad_number_does_nothing() {
        for (path, query) in [
            ("/exit", ""),
            ("/exit", "code=x"),
            ("/slow", "mib=1"),
            ("/nowhere", ""),
        ] {
            assert_eq!(action(path, query), Action::Unknown, "{path}?{query}");
        }
    }
}
