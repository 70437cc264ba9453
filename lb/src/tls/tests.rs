use super::*;

fn certificate(arn: &str, names: &[&str]) -> lb::Certificate {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    lb::Certificate {
        certificate_arn: arn.to_owned(),
        chain: made.cert.pem(),
        private_key: made.signing_key.serialize_pem(),
    }
}

fn table(certificates: &[lb::Certificate]) -> lb::Table {
    lb::Table {
        certificates: certificates.to_vec(),
        listeners: vec![listener(&["a"])],
        ..lb::Table::default()
    }
}

fn listener(certificates: &[&str]) -> lb::Listener {
    lb::Listener {
        protocol: "HTTPS".to_owned(),
        certificate_arns: certificates.iter().map(ToString::to_string).collect(),
        ..lb::Listener::default()
    }
}

#[test]
fn a_certificate_is_read_with_the_names_it_is_good_for() {
    let read = Certificate::read(
        &certificate("a", &["a.net", "*.a.net"]),
        &ring::default_provider(),
    );
    assert_eq!(read.unwrap().names, ["a.net", "*.a.net"]);
}

#[test]
fn a_certificate_that_cannot_be_shown_is_refused_for_what_is_wrong() {
    let refused = |change: fn(&mut lb::Certificate)| {
        let mut certificate = certificate("a", &["a.net"]);
        change(&mut certificate);
        Certificate::read(&certificate, &ring::default_provider()).unwrap_err()
    };
    let foreign = |one: &mut lb::Certificate| one.private_key = certificate("b", &[]).private_key;
    assert_eq!(refused(foreign), CertificateError::Mismatch);
    assert_eq!(refused(|one| one.chain.clear()), CertificateError::Chain);
    assert_eq!(
        refused(|one| one.chain = one.private_key.clone()),
        CertificateError::Chain
    );
    assert_eq!(
        refused(|one| one.private_key.clear()),
        CertificateError::Key
    );
}

#[test]
fn the_refusal_of_a_table_names_its_certificate() {
    let mut wrong = certificate("shop", &["a.net"]);
    wrong.private_key = certificate("other", &["a.net"]).private_key;
    let error = Keyring::new().take(&table(&[wrong])).unwrap_err();
    assert_eq!(error.to_string(), "certificate shop cannot be used");
    let twice = certificate("shop", &["a.net"]);
    let error = Keyring::new().take(&table(&[twice.clone(), twice]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "certificate shop is there twice"
    );
}

#[test]
fn a_listener_has_what_its_protocol_needs_and_nothing_else() {
    let mut keyring = Keyring::new();
    keyring
        .take(&table(&[certificate("a", &["a.net"])]))
        .unwrap();
    assert!(keyring.tls(&listener(&["a"])).unwrap().is_some());
    let refused = |keyring: &mut Keyring, listener| keyring.tls(&listener).unwrap_err();
    assert_eq!(
        refused(&mut keyring, listener(&[])),
        TlsError::NoCertificate
    );
    let certificate = "b".to_owned();
    assert_eq!(
        refused(&mut keyring, listener(&["a", "b"])),
        TlsError::UnknownCertificate { certificate }
    );
    let plain = lb::Listener {
        protocol: "HTTP".to_owned(),
        ..listener(&["a"])
    };
    assert_eq!(refused(&mut keyring, plain), TlsError::Plain);
    let unchecked = lb::Listener {
        client_authority: "no PEM".to_owned(),
        ..listener(&["a"])
    };
    assert_eq!(refused(&mut keyring, unchecked), TlsError::ClientAuthority);
}

#[test]
fn a_certificate_that_stays_is_not_read_again_and_a_replaced_one_is() {
    let (a, b) = (certificate("a", &["a.net"]), certificate("b", &["b.net"]));
    let mut keyring = Keyring::new();
    keyring.take(&table(&[a.clone(), b])).unwrap();
    let read = |keyring: &Keyring, arn| Arc::clone(&keyring.certificates[arn].1.key);
    let before = (read(&keyring, "a"), read(&keyring, "b"));
    let replaced = certificate("b", &["b.net"]);
    keyring.take(&table(&[a, replaced])).unwrap();
    assert!(Arc::ptr_eq(&before.0, &read(&keyring, "a")));
    assert!(!Arc::ptr_eq(&before.1, &read(&keyring, "b")));
}

#[test]
fn tickets_outlive_a_table_and_each_client_authority_has_its_own() {
    let mut keyring = Keyring::new();
    let authority = certificate("ca", &["ca.net"]).chain;
    let open = listener(&["a"]);
    let checked = lb::Listener {
        client_authority: authority.clone(),
        ..listener(&["a"])
    };
    let mut table = table(&[certificate("a", &["a.net"])]);
    let mut tickets = |table: &lb::Table, text: &str| {
        keyring.forget_all_but(table);
        keyring.authority(text).unwrap().tickets.unwrap()
    };
    table.listeners = vec![open.clone(), checked];
    let before = (tickets(&table, ""), tickets(&table, &authority));
    assert!(!Arc::ptr_eq(&before.0, &before.1));
    assert!(Arc::ptr_eq(&before.1, &tickets(&table, &authority)));
    table.listeners = vec![open];
    assert!(Arc::ptr_eq(&before.0, &tickets(&table, "")));
    assert!(!Arc::ptr_eq(&before.1, &tickets(&table, &authority)));
}

#[test]
fn no_debug_output_has_a_key() {
    let secret = certificate("a", &["a.net"]);
    let mut keyring = Keyring::new();
    let table = table(std::slice::from_ref(&secret));
    keyring.take(&table).unwrap();
    let tls = keyring.tls(&listener(&["a"])).unwrap();
    let shown = format!("{secret:?} {table:?} {keyring:?} {tls:?}");
    let line = secret.private_key.lines().nth(1).unwrap();
    assert!(
        !shown.contains(line) && !shown.contains("PRIVATE"),
        "{shown}"
    );
}
