//! Who gets a certificate, and what each one opens: on a real TLS listener, with certificates as they are handed out.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use roadstead_client::join::{Applicant, Joined, Token, join};
use roadstead_client::{ControlPlane, Credentials, Endpoint, SERVER_NAME};
use roadstead_proto::acm::ListCertificatesRequest;
use roadstead_proto::acm::acm_client::AcmClient;
use roadstead_proto::agent::agent_message::Message;
use roadstead_proto::agent::agent_session_client::AgentSessionClient;
use roadstead_proto::agent::{AgentMessage, Register};
use roadstead_proto::console::console_client::ConsoleClient;
use roadstead_proto::console::membership_client::MembershipClient;
use roadstead_proto::console::{
    CreateJoinTokenRequest, DeleteJoinTokenRequest, DescribeControlPlaneRequest,
    ListJoinTokensRequest, RemoveMemberRequest,
};
use roadstead_proto::ecs::ecs_client::EcsClient;
use roadstead_proto::ecs::{CreateClusterRequest, ListClustersRequest};
use roadstead_proto::elb::DescribeLoadBalancersRequest;
use roadstead_proto::elb::elb_client::ElbClient;
use roadstead_proto::lb::NodeReport;
use roadstead_proto::lb::load_balancer_session_client::LoadBalancerSessionClient;
use roadstead_proto::raft::raft_client::RaftClient;
use roadstead_proto::raft::{AddMemberRequest, ReadIndexRequest};
use roadstead_server::{Config, Remote, run};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Code, Status};

const DEADLINE: Duration = Duration::from_secs(20);
const AGENT: &str = "0123456789abcdef0123456789abcdef";
const NODE: &str = "fedcba9876543210fedcba9876543210";

/// The first server of a control plane, on a port of this machine.
struct Server {
    endpoint: Endpoint,
    local: ControlPlane,
    _stop: DropGuard,
    _directory: TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("rs-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let endpoint: Endpoint = format!("https://127.0.0.1:{port}").parse().unwrap();
        let socket = directory.path().join("s");
        let mut config = Config::new(1, directory.path().join("data"), socket.clone());
        config.members = [(1, endpoint.clone())].into();
        config.remote = Some(Remote {
            endpoint: endpoint.clone(),
            bind: SocketAddr::from(([127, 0, 0, 1], port)),
        });
        let stop = CancellationToken::new();
        let server = run(config, stop.clone());
        tokio::spawn(async move { server.await.expect("the server runs to its end") });
        let server = Self {
            endpoint,
            local: ControlPlane::new(vec![Endpoint::Unix(socket)]),
            _stop: stop.drop_guard(),
            _directory: directory,
        };
        let request = || CreateClusterRequest {
            cluster_name: Some("default".to_owned()),
        };
        eventually(async || {
            let channel = server.local.connect().await.ok()?;
            EcsClient::new(channel).create_cluster(request()).await.ok()
        })
        .await;
        server
    }

    async fn membership(&self) -> MembershipClient<Channel> {
        MembershipClient::new(self.local.connect().await.unwrap())
    }

    async fn token(&self, role: &str, valid_seconds: i32) -> Token {
        let request = CreateJoinTokenRequest {
            role: Some(role.to_owned()),
            valid_seconds: Some(valid_seconds),
        };
        let made = self.membership().await.create_join_token(request).await;
        made.unwrap().into_inner().token.unwrap().parse().unwrap()
    }

    /// Joins; what the server itself refuses is a test's own business.
    async fn join(&self, token: &Token, applicant: Applicant) -> Result<Joined, String> {
        let joined = Box::pin(join(&self.endpoint, token, applicant)).await;
        joined.map_err(|error| error.to_string())
    }

    async fn credentials(&self, role: &str, applicant: Applicant) -> Credentials {
        let token = self.token(role, 600).await;
        // The listener for other hosts opens when the control plane has its authority.
        eventually(async || self.join(&token, applicant.clone()).await.ok())
            .await
            .credentials
    }

    async fn channel(&self, credentials: &Credentials) -> Channel {
        self.endpoint.connect(Some(credentials)).await.unwrap()
    }

    /// Connects as somebody who trusts the server, and shows no certificate.
    async fn nobody(&self, authority: &str) -> Channel {
        let tls = ClientTlsConfig::new()
            .domain_name(SERVER_NAME)
            .ca_certificate(Certificate::from_pem(authority));
        let endpoint = Channel::from_shared(self.endpoint.to_string()).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await.unwrap()
    }
}

async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < until,
            "it has not come within {DEADLINE:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the services that let a caller in, whatever they answer.
async fn open_to(channel: &Channel) -> BTreeSet<&'static str> {
    let register = Register {
        cluster: "default".to_owned(),
        container_instance_id: AGENT.to_owned(),
        agent_version: "1".to_owned(),
        host_name: "host".to_owned(),
        address: "127.0.0.1".to_owned(),
        cpu_units: 1024,
        memory_mib: 1024,
        ..Register::default()
    };
    let register = AgentMessage {
        message: Some(Message::Register(register)),
    };
    let report = NodeReport {
        node_id: NODE.to_owned(),
        incarnation: "first".to_owned(),
        ..NodeReport::default()
    };
    let (ecs, elb) = (
        EcsClient::new(channel.clone()),
        ElbClient::new(channel.clone()),
    );
    let (console, raft) = (
        ConsoleClient::new(channel.clone()),
        RaftClient::new(channel.clone()),
    );
    let (mut ecs, mut elb, mut console, mut raft) = (ecs, elb, console, raft);
    let mut membership = MembershipClient::new(channel.clone());
    let mut agents = AgentSessionClient::new(channel.clone());
    let mut nodes = LoadBalancerSessionClient::new(channel.clone());
    let balancers = DescribeLoadBalancersRequest::default();
    let control_plane = DescribeControlPlaneRequest {};
    let mut acm = AcmClient::new(channel.clone());
    let certificates = ListCertificatesRequest::default();
    let answers: [(&'static str, Option<Status>); 8] = [
        ("acm", acm.list_certificates(certificates).await.err()),
        (
            "ecs",
            ecs.list_clusters(ListClustersRequest::default())
                .await
                .err(),
        ),
        ("elb", elb.describe_load_balancers(balancers).await.err()),
        (
            "console",
            console.describe_control_plane(control_plane).await.err(),
        ),
        (
            "membership",
            membership
                .list_join_tokens(ListJoinTokensRequest {})
                .await
                .err(),
        ),
        (
            "agent",
            agents.session(tokio_stream::iter([register])).await.err(),
        ),
        (
            "load balancer",
            nodes.session(tokio_stream::iter([report])).await.err(),
        ),
        ("raft", raft.read_index(ReadIndexRequest {}).await.err()),
    ];
    let closed = [Code::Unauthenticated, Code::PermissionDenied];
    let open = answers.into_iter().filter(|(_, refusal)| {
        let code = refusal.as_ref().map(Status::code);
        !code.is_some_and(|code| closed.contains(&code))
    });
    open.map(|(service, _)| service).collect()
}

#[tokio::test]
async fn each_certificate_opens_what_its_role_needs_and_nothing_else() {
    let server = Server::start().await;
    let operator = Applicant::Operator("ada".to_owned());
    let operator = server.credentials("operator", operator).await;
    let second: Endpoint = "https://127.0.0.1:9".parse().unwrap();
    let expected: [(&str, Applicant, &[&str]); 3] = [
        ("agent", Applicant::Agent(AGENT.to_owned()), &["agent"]),
        (
            "load-balancer",
            Applicant::LoadBalancer(NODE.to_owned()),
            &["load balancer"],
        ),
        ("server", Applicant::Server(second), &["raft"]),
    ];
    for (role, applicant, services) in expected {
        let credentials = server.credentials(role, applicant).await;
        let open = open_to(&server.channel(&credentials).await).await;
        assert_eq!(open, services.iter().copied().collect(), "{role}");
    }
    let open = open_to(&server.channel(&operator).await).await;
    assert_eq!(open, ["acm", "console", "ecs", "elb", "membership"].into());
    let nobody = server.nobody(&operator.authority).await;
    assert_eq!(open_to(&nobody).await, BTreeSet::new());
    let local = server.local.connect().await.unwrap();
    assert_eq!(open_to(&local).await.len(), 8);
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let server = Server::start().await;
    let other = Applicant::Agent("a".repeat(32));
    let agent = server.credentials("agent", other).await;
    let open = open_to(&server.channel(&agent).await).await;
    assert!(
        !open.contains("agent"),
        "an agent registered as another one"
    );
    let other = Applicant::LoadBalancer("b".repeat(32));
    let node = server.credentials("load-balancer", other).await;
    let open = open_to(&server.channel(&node).await).await;
    assert!(
        !open.contains("load balancer"),
        "a load balancer reported as another one"
    );

    let token = server.token("server", 600).await;
    let endpoint: Endpoint = "https://127.0.0.1:9".parse().unwrap();
    let joined = server
        .join(&token, Applicant::Server(endpoint.clone()))
        .await;
    let joined = joined.unwrap();
    assert_eq!(joined.member_id, 2);
    let mut raft = RaftClient::new(server.channel(&joined.credentials).await);
    let mut ask = async |id, endpoint: &str| {
        let endpoint = endpoint.to_owned();
        let answer = raft.add_member(AddMemberRequest { id, endpoint }).await;
        answer.expect_err("it is refused").code()
    };
    assert_eq!(ask(1, &endpoint.to_string()).await, Code::PermissionDenied);
    assert_eq!(
        ask(2, "https://127.0.0.1:10").await,
        Code::FailedPrecondition
    );
    let mut membership = server.membership().await;
    membership
        .remove_member(RemoveMemberRequest { id: Some(2) })
        .await
        .unwrap();
    assert_eq!(
        ask(2, &endpoint.to_string()).await,
        Code::FailedPrecondition
    );
}

#[tokio::test]
async fn a_token_is_good_for_its_role_its_time_and_until_it_is_deleted() {
    let server = Server::start().await;
    let operator = || Applicant::Operator("ada".to_owned());
    let token = server.token("operator", 600).await;
    eventually(async || server.join(&token, operator()).await.ok()).await;

    let refused = async |token: &Token, applicant| {
        let joined = server.join(token, applicant).await;
        joined.expect_err("the token is refused")
    };
    let said = refused(&token, Applicant::Agent(AGENT.to_owned())).await;
    assert!(said.contains("for role operator, not for agent"), "{said}");
    let said = refused(&token, Applicant::Operator("No Label".to_owned())).await;
    assert!(said.contains("`No Label`"), "{said}");
    let guessed = Token {
        secret: "0".repeat(32),
        ..token.clone()
    };
    let said = refused(&guessed, operator()).await;
    assert!(said.contains("not valid"), "{said}");
    let stranger = Token {
        authority_digest: [7; 32],
        ..token.clone()
    };
    let said = refused(&stranger, operator()).await;
    assert!(
        said.contains("cannot reach"),
        "it spoke to a server of another authority: {said}"
    );

    let short = server.token("operator", 1).await;
    eventually(async || server.join(&short, operator()).await.err()).await;
    let delete = DeleteJoinTokenRequest {
        id: Some(token.id.clone()),
    };
    server
        .membership()
        .await
        .delete_join_token(delete)
        .await
        .unwrap();
    let said = refused(&token, operator()).await;
    assert!(said.contains("not valid"), "{said}");

    let first = server.token("server", 600).await;
    let said = refused(&first, Applicant::Server(server.endpoint.clone())).await;
    assert!(said.contains("ctl server remove"), "{said}");
}

#[tokio::test]
async fn an_agent_that_is_known_cannot_be_joined_as_by_another_host() {
    let server = Server::start().await;
    let applicant = || Applicant::Agent(AGENT.to_owned());
    let credentials = server.credentials("agent", applicant()).await;
    assert!(
        open_to(&server.channel(&credentials).await)
            .await
            .contains("agent")
    );
    let token = server.token("agent", 600).await;
    let said = eventually(async || server.join(&token, applicant()).await.err()).await;
    assert!(said.contains("has joined already"), "{said}");
}
