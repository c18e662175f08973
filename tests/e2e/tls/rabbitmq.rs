use pgevents_tests::lab::{Authority, ClientFiles, Encryption, Lab, RelayCommand};

use super::{check_refusal, check_that_a_row_arrives, text};

/// What the error of a failed start of TLS begins with.
const START_TLS: &str = "start TLS with RabbitMQ at amqps://";

fn knowing<'a>(command: RelayCommand<'a>, lab: &Lab, trusted: &Authority) -> RelayCommand<'a> {
    command
        .env("RABBITMQ_URL", &lab.rabbitmq().encrypted_url("localhost"))
        .env("RABBITMQ_CACERT", text(&trusted.file()))
}

fn showing<'a>(command: RelayCommand<'a>, files: &ClientFiles) -> RelayCommand<'a> {
    command
        .env("RABBITMQ_CERT", text(&files.certificate))
        .env("RABBITMQ_KEY", text(&files.key))
}

#[tokio::test]
async fn producer_and_consumer_know_the_broker_and_are_known_by_it() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let encryption = Encryption {
        server: &ours.server(&["localhost"]),
        clients: &ours.certificate(),
        clients_must: true,
    };
    let mut lab = Lab::with_encrypted_rabbitmq(encryption).await;
    lab.allow(START_TLS);
    // A broker under load closes a connection that it refuses before its reason is read.
    lab.allow("Connection reset by peer");
    let nobody = knowing(lab.producer(), &lab, &ours);
    check_refusal(nobody, &[START_TLS, "asks for a client certificate"]).await;
    let stranger = knowing(lab.producer(), &lab, &ours);
    let says = [START_TLS, "does not accept the client certificate"];
    check_refusal(showing(stranger, &theirs.client("relay")), &says).await;
    let files = ours.client("relay");
    let consumer = showing(knowing(lab.consumer(), &lab, &ours), &files).start();
    consumer.logs("waiting for events").await;
    let relay = showing(knowing(lab.producer(), &lab, &ours), &files).start();
    lab.sql(
        "CREATE TABLE users (id int PRIMARY KEY); \
             ALTER TABLE users REPLICA IDENTITY FULL; INSERT INTO users VALUES (1)",
    )
    .await;
    assert_eq!(consumer.prints(0).await, "routing_key public.users");
    relay.stop().await;
    consumer.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn a_broker_that_is_not_who_it_should_be_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let encryption = Encryption {
        server: &ours.server(&["localhost"]),
        clients: &ours.certificate(),
        clients_must: false,
    };
    let mut lab = Lab::with_encrypted_rabbitmq(encryption).await;
    lab.allow(START_TLS);
    lab.allow("which does not encrypt: use amqps://");
    let says = [
        START_TLS,
        "RABBITMQ_CACERT",
        "no authority that the relay trusts",
    ];
    check_refusal(knowing(lab.producer(), &lab, &theirs), &says).await;
    check_refusal(knowing(lab.consumer(), &lab, &theirs), &says).await;
    let elsewhere = lab.rabbitmq().encrypted_url("127.0.0.1");
    let elsewhere = knowing(lab.producer(), &lab, &ours).env("RABBITMQ_URL", &elsewhere);
    check_refusal(elsewhere, &[START_TLS, "is for another host", "localhost"]).await;
    // Certificates beside an URL without TLS are a mistake that nobody would see.
    let plain = knowing(lab.producer(), &lab, &ours).env("RABBITMQ_URL", &lab.rabbitmq().url());
    check_refusal(plain, &["use amqps://"]).await;
    let mut queue = lab.queue().await;
    let relay = knowing(lab.producer(), &lab, &ours).start();
    check_that_a_row_arrives(&lab, &mut queue).await;
    relay.stop().await;
    let expired = ours.expired_server(&["localhost"]);
    lab.rabbitmq()
        .change_certificate(&expired)
        .expect("change the certificate");
    let says = [START_TLS, "the server's certificate has expired"];
    check_refusal(knowing(lab.producer(), &lab, &ours), &says).await;
    lab.finish().await;
}
