//! Who may join: tokens, the servers that were admitted, and the authority that signs for all of them.

use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::ClusterState;
use crate::id::JoinTokenId;
use crate::{Event, Rejection, Timestamp};

/// More tokens at a time are a mistake.
const MOST_TOKENS: usize = 1_000;

/// What a certificate lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A member of the control plane.
    Server,
    Agent,
    LoadBalancer,
    /// A person, or a program, that uses the public API.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [
        Self::Server,
        Self::Agent,
        Self::LoadBalancer,
        Self::Operator,
    ];

    /// Returns its name, as it stands in certificates and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
            Self::LoadBalancer => "load-balancer",
            Self::Operator => "operator",
        }
    }

    /// Returns the role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The right to join in a role. The secret itself is known only to whom it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    pub id: JoinTokenId,
    pub role: Role,
    /// SHA-256 of the secret.
    pub secret_hash: Vec<u8>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A server that was admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub endpoint: String,
    /// Names its admission, so that the number can be found; made for it alone.
    pub admission: String,
    pub admitted_at: Timestamp,
    /// It may not become a member again.
    pub dismissed: bool,
}

/// The certificate authority: who has its key can speak for everyone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// PEM
    pub certificate: String,
    /// PEM (PKCS #8)
    pub key: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl ClusterState {
    pub(super) fn create_join_token(
        &mut self,
        token: JoinToken,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let live = self
            .join_tokens
            .iter()
            .filter(|(_, one)| one.expires_at > at);
        let mut live: OrdMap<_, _> = live
            .map(|(id, one)| (id.clone(), Arc::clone(one)))
            .collect();
        if live.len() >= MOST_TOKENS {
            return Err(Rejection::client(
                "There are 1000 join tokens already. Delete some with `ctl token delete`.",
            ));
        }
        if self.join_tokens.contains_key(&token.id) {
            return Err(Rejection::stale(format!("token {} exists", token.id)));
        }
        let id = token.id.clone();
        live.insert(id.clone(), Arc::new(token));
        self.join_tokens = live;
        Ok(vec![Event::JoinTokenCreated(id)])
    }

    pub(super) fn delete_join_token(&mut self, id: &JoinTokenId) -> Result<Vec<Event>, Rejection> {
        match self.join_tokens.remove(id) {
            Some(_) => Ok(vec![Event::JoinTokenDeleted(id.clone())]),
            None => Err(Rejection::client(format!("Join token {id} was not found."))),
        }
    }

    pub(super) fn admit_server(
        &mut self,
        server: Server,
        above: u64,
    ) -> Result<Vec<Event>, Rejection> {
        if self.admitted(&server.admission).is_some() {
            return Ok(Vec::new());
        }
        let highest = self.servers.get_max().map_or(0, |(id, _)| *id);
        let id = highest.max(above) + 1;
        self.servers.insert(id, Arc::new(server));
        Ok(vec![Event::ServerAdmitted(id)])
    }

    pub(super) fn dismiss_server(&mut self, id: u64) -> Vec<Event> {
        match self.servers.get_mut(&id).map(Arc::make_mut) {
            Some(server) if !server.dismissed => {
                server.dismissed = true;
                vec![Event::ServerDismissed(id)]
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Returns the server of this number, unless it was dismissed.
    #[must_use]
    pub fn admitted_server(&self, id: u64) -> Option<&Server> {
        let server = self.servers.get(&id)?;
        (!server.dismissed).then_some(server.as_ref())
    }

    /// Returns the number that an admission gave.
    #[must_use]
    pub fn admitted(&self, admission: &str) -> Option<u64> {
        let mut servers = self.servers.iter();
        let found = servers.find(|(_, server)| server.admission == admission);
        found.map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn token(id: &str) -> JoinToken {
        JoinToken {
            id: JoinTokenId::new(id),
            role: Role::Agent,
            secret_hash: vec![7; 32],
            created_at: NOW,
            expires_at: NOW.after(Duration::from_secs(60)),
        }
    }

    #[test]
    fn expired_tokens_go_when_the_next_one_is_made() {
        let mut state = ClusterState::default();
        state.create_join_token(token("a"), NOW).unwrap();
        state.create_join_token(token("b"), NOW).unwrap();
        assert_eq!(state.join_tokens.len(), 2);
        let later = NOW.after(Duration::from_secs(61));
        state.create_join_token(token("c"), later).unwrap();
        assert_eq!(state.join_tokens.len(), 1);
        state.delete_join_token(&JoinTokenId::new("c")).unwrap();
        let twice = state.delete_join_token(&JoinTokenId::new("c"));
        assert!(twice.unwrap_err().to_string().contains("was not found"));
    }

    #[test]
    fn a_servers_number_is_never_given_twice() {
        let mut state = ClusterState::default();
        let server = |admission: &str| Server {
            endpoint: "https://10.0.0.1:7443".into(),
            admission: admission.into(),
            admitted_at: NOW,
            dismissed: false,
        };
        state.admit_server(server("x"), 1).unwrap();
        assert_eq!(state.admitted("x"), Some(2));
        // The same address again, with an empty disk: another server.
        state.admit_server(server("y"), 1).unwrap();
        assert_eq!(state.admitted("y"), Some(3));
        assert_eq!(state.admit_server(server("x"), 9).unwrap(), []);
        assert_eq!(state.dismiss_server(3).len(), 1);
        assert!(state.admitted_server(3).is_none() && state.admitted_server(2).is_some());
        state.admit_server(server("z"), 1).unwrap();
        assert_eq!(state.admitted("z"), Some(4));
    }

    #[test]
    fn the_authoritys_key_is_not_shown() {
        let authority = Authority {
            certificate: "certificate".into(),
            key: "secret".into(),
        };
        assert_eq!(format!("{authority:?}"), "Authority { .. }");
    }

    #[test]
    fn roles_are_read_back_by_name() {
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
        }
    }
}
