//! How a service's requests come to it.

use roadstead_core::{Command, Exception};

use crate::world::World;

#[test]
fn the_only_listener_of_a_service_stays_and_its_refusal_says_what_to_do() {
    let (mut state, _log) = World::new(100, 200).into_parts();
    let (id, _) = state.listeners.iter().next().unwrap();
    let id = id.clone();
    let refused = state.apply(Command::DeleteListener { id }).unwrap_err();
    assert_eq!(refused.exception, Exception::ResourceInUse);
    assert_eq!(
        refused.message,
        "service default/web gets its requests for target group 'web' only through this; delete the service, or forward to 'web' from elsewhere first"
    );
}
