use pgevents_tests::lab::{Authority, Certified, ClientFiles, Encryption, Lab, RelayCommand};

use super::{check_refusal, check_that_a_row_arrives, text};

/// What the error of a failed start of TLS begins with.
const START_TLS: &str = "start TLS with PostgreSQL at";

async fn lab(server: &Certified, clients: &Authority, clients_must: bool) -> Lab {
    let encryption = Encryption {
        server,
        clients: &clients.certificate(),
        clients_must,
    };
    let mut lab = Lab::with_encrypted_postgres(encryption).await;
    lab.allow(START_TLS);
    lab
}

/// A relay that checks all of the server's certificate, at the name it is for.
fn verifying<'a>(lab: &'a Lab, trusted: &Authority) -> RelayCommand<'a> {
    lab.producer()
        .env("PGHOST", "localhost")
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", text(&trusted.file()))
}

fn showing<'a>(command: RelayCommand<'a>, files: &ClientFiles) -> RelayCommand<'a> {
    command
        .env("PGSSLCERT", text(&files.certificate))
        .env("PGSSLKEY", text(&files.key))
}

#[tokio::test]
async fn a_server_is_known_by_its_certificate_and_the_login_is_bound_to_it() {
    let ours = Authority::new("ours");
    let lab = lab(&ours.server(&["localhost"]), &ours, false).await;
    let mut queue = lab.queue().await;
    let relay = verifying(&lab, &ours)
        .env("PGCHANNELBINDING", "require")
        .start();
    check_that_a_row_arrives(&lab, &mut queue).await;
    let query =
        "SELECT bool_and(ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)";
    let row = lab.row(query).await;
    assert_eq!((row.get(0), row.get(1)), (Some(true), 1_i64));
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let lab = lab(&ours.server(&["localhost"]), &ours, false).await;
    let unknown = verifying(&lab, &theirs);
    let says = [
        START_TLS,
        "PGSSLROOTCERT",
        "no authority that the relay trusts",
    ];
    check_refusal(unknown, &says).await;
    // With a file of authorities, less strict modes look at the signature too, as with libpq.
    for mode in ["verify-ca", "require"] {
        check_refusal(verifying(&lab, &theirs).env("PGSSLMODE", mode), &says).await;
    }
    let elsewhere = verifying(&lab, &ours).env("PGHOST", "127.0.0.1");
    check_refusal(elsewhere, &[START_TLS, "is for another host", "localhost"]).await;
    let mut queue = lab.queue().await;
    let whatever_name = verifying(&lab, &ours).env("PGHOST", "127.0.0.1");
    let relay = whatever_name.env("PGSSLMODE", "verify-ca").start();
    check_that_a_row_arrives(&lab, &mut queue).await;
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn an_expired_certificate_of_a_server_is_refused() {
    let ours = Authority::new("ours");
    let lab = lab(&ours.expired_server(&["localhost"]), &ours, false).await;
    let says = [START_TLS, "the server's certificate has expired"];
    check_refusal(verifying(&lab, &ours), &says).await;
    let authority_only = verifying(&lab, &ours).env("PGSSLMODE", "verify-ca");
    check_refusal(authority_only, &says).await;
    lab.finish().await;
}

#[tokio::test]
async fn a_server_that_asks_for_a_client_certificate_gets_it() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut lab = lab(&ours.server(&["localhost"]), &ours, true).await;
    lab.allow("connection requires a valid client certificate");
    lab.allow("authentication failed for user");
    lab.allow("could not accept SSL connection");
    check_refusal(verifying(&lab, &ours), &["client certificate", "PGSSLCERT"]).await;
    let stranger = showing(verifying(&lab, &ours), &theirs.client("relay"));
    let says = [
        START_TLS,
        "the server does not accept the client certificate",
    ];
    check_refusal(stranger, &says).await;
    let namesake = showing(verifying(&lab, &ours), &ours.client("somebody_else"));
    check_refusal(namesake, &["client certificate"]).await;
    let mut queue = lab.queue().await;
    let relay = showing(verifying(&lab, &ours), &ours.client("relay")).start();
    check_that_a_row_arrives(&lab, &mut queue).await;
    relay.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let mut lab = Lab::without_slot().await;
    lab.allow(START_TLS);
    lab.allow("PGCHANNELBINDING=require needs TLS");
    let plain = lab.producer().env("PGSSLMODE", "require");
    check_refusal(plain, &[START_TLS, "does not offer TLS"]).await;
    let unbound = lab.producer().env("PGCHANNELBINDING", "require");
    check_refusal(unbound, &["not bound", "PGCHANNELBINDING"]).await;
    lab.finish().await;
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named_before_anything_is_opened() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut lab = Lab::without_slot().await;
    lab.allow("read the certificates named by PGSSLROOTCERT, PGSSLCERT and PGSSLKEY");
    lab.allow("PGSSLKEY is not set");
    let files = ours.client("relay");
    let (certificate, key) = (text(&files.certificate), text(&files.key));
    let missing = verifying(&lab, &ours).env("PGSSLROOTCERT", "/no/such/file");
    check_refusal(missing, &["/no/such/file", "No such file"]).await;
    let a_key = verifying(&lab, &ours).env("PGSSLROOTCERT", key);
    check_refusal(a_key, &[key, "holds no certificate"]).await;
    let swapped = verifying(&lab, &ours).env("PGSSLCERT", certificate);
    check_refusal(
        swapped.env("PGSSLKEY", certificate),
        &["holds no private key"],
    )
    .await;
    let half = verifying(&lab, &ours).env("PGSSLCERT", certificate);
    check_refusal(half, &["PGSSLKEY is not set"]).await;
    let mixed = verifying(&lab, &ours).env("PGSSLCERT", certificate);
    let other = theirs.client("relay");
    check_refusal(mixed.env("PGSSLKEY", text(&other.key)), &["use the key"]).await;
    lab.finish().await;
}
