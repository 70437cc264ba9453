use super::*;

fn pool() -> Pool {
    Pool::new("10.0.0.0/29".parse().unwrap(), 100..=104, &[102], 0)
}

fn mapping(container_port: i32, host_port: i32) -> PortMapping {
    PortMapping {
        container_port: Some(container_port),
        host_port: Some(host_port),
        ..PortMapping::default()
    }
}

fn taken(ports: &[u16]) -> Taken {
    Taken {
        ports: ports.iter().map(|port| (Protocol::Tcp, *port)).collect(),
        ..Taken::default()
    }
}

fn ports(result: Result<Attachment, AllocationError>) -> Result<Vec<u16>, AllocationError> {
    result.map(|attachment| attachment.bindings.iter().map(|b| b.host_port).collect())
}

const FREE: fn(Protocol, u16) -> bool = |_, _| true;

#[test]
fn dynamic_ports_are_neither_reserved_nor_taken_nor_in_use() {
    let only_104 = |_, port| port != 100;
    let got = pool().attach(
        NetworkMode::Bridge,
        &[mapping(80, 0)],
        &taken(&[101, 103]),
        only_104,
    );
    assert_eq!(ports(got), Ok(vec![104]));
}

#[test]
fn one_container_gets_different_ports() {
    let mappings = [mapping(80, 0), mapping(81, 0)];
    let got = pool().attach(NetworkMode::Bridge, &mappings, &Taken::default(), FREE);
    assert_eq!(ports(got), Ok(vec![100, 101]));
}

#[test]
fn a_port_that_was_given_back_is_used_again_last() {
    let mut pool = pool();
    let mut next = || {
        ports(pool.attach(
            NetworkMode::Bridge,
            &[mapping(80, 0)],
            &Taken::default(),
            FREE,
        ))
    };
    let sequence: Vec<u16> = (0..5).flat_map(|_| next().unwrap()).collect();
    assert_eq!(sequence, [100, 101, 103, 104, 100]);
}

#[test]
fn a_range_that_is_used_up_is_an_error() {
    let all = taken(&[100, 101, 103, 104]);
    let got = pool().attach(NetworkMode::Bridge, &[mapping(80, 0)], &all, FREE);
    assert_eq!(ports(got), Err(AllocationError::NoPort));
}

#[test]
fn a_static_port_is_given_or_refused() {
    let mut pool = pool();
    let wish = [mapping(80, 8080)];
    let mut attach = |taken: &Taken, is_free: fn(Protocol, u16) -> bool| {
        ports(pool.attach(NetworkMode::Bridge, &wish, taken, is_free))
    };
    assert_eq!(attach(&Taken::default(), FREE), Ok(vec![8080]));
    assert_eq!(
        attach(&taken(&[8080]), FREE),
        Err(AllocationError::Held(8080))
    );
    assert_eq!(
        attach(&Taken::default(), |_, _| false),
        Err(AllocationError::InUse(8080))
    );
}

#[test]
fn host_mode_has_the_container_s_ports_and_no_address() {
    let wish = [mapping(80, 0)];
    let got = pool()
        .attach(NetworkMode::Host, &wish, &taken(&[80]), FREE)
        .unwrap();
    assert_eq!((got.bindings[0].host_port, got.address), (80, None));
}

#[test]
fn addresses_run_out_after_the_last_one() {
    let mut taken = Taken::default();
    let mut pool = pool();
    for _ in 0..5 {
        let got = pool.attach(NetworkMode::Bridge, &[], &taken, FREE).unwrap();
        assert!(taken.addresses.insert(got.address.unwrap()));
    }
    assert!(matches!(
        pool.attach(NetworkMode::Bridge, &[], &taken, FREE),
        Err(AllocationError::NoAddress(_))
    ));
}

#[test]
fn a_mapping_that_makes_no_sense_is_refused() {
    for wish in [mapping(0, 0), mapping(70000, 0), mapping(80, -1)] {
        let got = pool().attach(NetworkMode::Bridge, &[wish], &Taken::default(), FREE);
        assert!(matches!(got, Err(AllocationError::Invalid(..))));
    }
}
