use std::time::Duration;

use lapin::{
    Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, ExchangeUnbindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::time::timeout;

use super::Finding;
use crate::sink::{
    SinkError,
    amqp::{Broker, ExchangeDeclare, FENCE_PREFIX, Fence, connect, reply_code, shell_word, short},
};

/// Longest time for one question to the broker.
const PATIENCE: Duration = Duration::from_secs(10);

/// Exchanges that every virtual host has; see [`may_write`].
const BUILT_IN: [&str; 2] = ["amq.topic", "amq.fanout"];

/// Looks at the broker over AMQP; nothing is published.
pub(super) async fn examine(
    broker: &Broker,
    declare: ExchangeDeclare,
    fence: Fence,
) -> Vec<Finding> {
    const CHECK: &str = "broker.connection";
    // The channel of the login is not needed: each question has its own, as a refusal closes it.
    let (connection, _) = match connect(broker, "pgevents doctor").await {
        Ok(opened) => opened,
        Err(error) => return vec![Finding::failure(CHECK, &error)],
    };
    let (url, user) = (&broker.url, broker.url.user());
    let vhost = url.vhost();
    let mut findings = vec![Finding::ok(
        CHECK,
        format!("{url}, virtual host {vhost:?}, user {user:?}"),
    )];
    findings.push(tls(broker));
    findings.extend(exchange(&connection, broker, declare).await);
    findings.push(lock(&connection, broker, fence).await);
    findings
}

/// Whether the queue can be declared that lets one relay of a slot publish at a time. One of
/// another name is; it goes with the connection.
async fn lock(connection: &Connection, broker: &Broker, fence: Fence) -> Finding {
    const CHECK: &str = "broker.fence";
    if fence == Fence::Off {
        return Finding::skip(CHECK, "--fence off asks for no lock");
    }
    let name = format!("{FENCE_PREFIX}doctor.{:x}", fastrand::u64(..));
    let declared = ask(connection, async |channel| {
        let options = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel.queue_declare(short(&name), options, FieldTable::default());
        queue.await.map(drop)
    });
    let user = broker.url.user();
    match (declared.await, fence) {
        (Answer::Yes, _) => Finding::ok(CHECK, "one relay of a slot publishes at a time"),
        (Answer::No(403, _), Fence::On) => Finding::fail(
            CHECK,
            format!("{user:?} may not declare the queue that is the lock"),
            permit(broker),
        ),
        (Answer::No(403, _), _) => Finding::warn(
            CHECK,
            format!(
                "{user:?} may not declare the queue that is the lock: a relay that stands still and \
                 wakes up may send events that are out of date"
            ),
            permit(broker),
        ),
        (Answer::No(_, said), _) => Finding::skip(CHECK, said),
        (Answer::Lost(error), _) => Finding::failure(CHECK, &error),
    }
}

fn tls(broker: &Broker) -> Finding {
    const CHECK: &str = "broker.tls";
    let url = broker.url.to_string();
    let local = ["://localhost:", "://127."];
    match url.starts_with("amqps://") {
        true => Finding::ok(CHECK, "encrypted, and the certificate is checked"),
        false if local.iter().any(|host| url.contains(host)) => {
            Finding::ok(CHECK, "not encrypted, on this machine")
        }
        false => Finding::warn(
            CHECK,
            "not encrypted: the password and every row can be read on the way",
            "use amqps:// in RABBITMQ_URL",
        ),
    }
}

/// What came of one question.
enum Answer {
    Yes,
    /// The reply code, and the broker's words.
    No(u16, String),
    /// There was none; the connection is of no use any more.
    Lost(SinkError),
}

async fn exchange(
    connection: &Connection,
    broker: &Broker,
    declare: ExchangeDeclare,
) -> Vec<Finding> {
    const CHECK: &str = "broker.exchange";
    let (name, user) = (&broker.exchange, broker.url.user());
    let about = |finding: Finding| finding.about(name);
    let missing = match declared(connection, broker, true).await {
        Answer::Yes => false,
        Answer::No(404, _) => true,
        Answer::No(_, said) => {
            let fix = format!("give {user:?} the permission to read it, or check the name");
            return vec![about(Finding::fail(CHECK, said, fix))];
        }
        Answer::Lost(error) => return vec![about(Finding::failure(CHECK, &error))],
    };
    if missing {
        return vec![about(match declare {
            ExchangeDeclare::Declare => {
                Finding::ok(CHECK, "does not exist; the relay makes it when it starts")
            }
            ExchangeDeclare::Passive | ExchangeDeclare::Off => Finding::fail(
                CHECK,
                "does not exist",
                format!(
                    "run: rabbitmqadmin declare exchange name={name} type=topic durable=true; or \
                     use --exchange-declare declare"
                ),
            ),
        })];
    }
    // It is there, so declaring it changes nothing and only compares.
    let kind = match (declared(connection, broker, false).await, declare) {
        (Answer::Yes, _) => Finding::ok(CHECK, "a durable topic exchange"),
        (Answer::No(406, _), _) => Finding::fail(
            CHECK,
            "exists, and is not what the relay would declare: durable, topic, without arguments",
            "name another one in RABBITMQ_EXCHANGE, delete it, or use --exchange-declare passive if \
             it is meant to be so",
        ),
        (Answer::No(403, _), ExchangeDeclare::Declare) => Finding::fail(
            CHECK,
            format!("{user:?} may not declare it"),
            format!("{}; or use --exchange-declare passive", permit(broker)),
        ),
        (Answer::No(403, _), ExchangeDeclare::Passive | ExchangeDeclare::Off) => {
            Finding::ok(CHECK, "exists; its type cannot be seen by this user")
        }
        (Answer::No(_, said), _) => Finding::fail(CHECK, said, "check RABBITMQ_EXCHANGE"),
        (Answer::Lost(error), _) => Finding::failure(CHECK, &error),
    };
    vec![about(kind), about(may_write(connection, broker).await)]
}

async fn declared(connection: &Connection, broker: &Broker, passive: bool) -> Answer {
    ask(connection, async |channel| {
        let options = ExchangeDeclareOptions {
            passive,
            durable: true,
            ..Default::default()
        };
        let (name, kind) = (short(&broker.exchange), ExchangeKind::Topic);
        let arguments = FieldTable::default();
        channel
            .exchange_declare(name, kind, options, arguments)
            .await
    })
    .await
}

/// AMQP has no question for the permission to publish. Removing a binding that does not exist
/// changes nothing, and needs the permission to write the exchange; also that to read the other
/// exchange, whose refusal comes later and names it.
async fn may_write(connection: &Connection, broker: &Broker) -> Finding {
    const CHECK: &str = "broker.publish";
    let user = broker.url.user();
    let other = BUILT_IN.into_iter().find(|name| *name != broker.exchange);
    let other = other.unwrap_or(BUILT_IN[0]);
    let key = format!("pgevents.doctor.{:x}", fastrand::u64(..));
    let unbound = ask(connection, async |channel| {
        let (to, from) = (short(&broker.exchange), short(other));
        let (options, arguments) = (ExchangeUnbindOptions::default(), FieldTable::default());
        channel
            .exchange_unbind(to, from, short(&key), options, arguments)
            .await
    });
    match unbound.await {
        Answer::Yes => Finding::ok(CHECK, format!("{user:?} may publish")),
        Answer::No(403, said) if said.contains(&format!("'{other}'")) => {
            Finding::ok(CHECK, format!("{user:?} may publish"))
        }
        Answer::No(403, _) => Finding::fail(
            CHECK,
            format!("{user:?} may not publish to it"),
            permit(broker),
        ),
        Answer::No(_, said) => Finding::skip(CHECK, said),
        Answer::Lost(error) => Finding::failure(CHECK, &error),
    }
}

/// How to give the user what a relay needs: to declare its exchange and its lock, and to write the
/// exchange.
fn permit(broker: &Broker) -> String {
    let (vhost, user) = (
        shell_word(broker.url.vhost()),
        shell_word(broker.url.user()),
    );
    let (name, lock) = (pattern(&broker.exchange), pattern(FENCE_PREFIX));
    let configure = shell_word(&format!("^({name}|{lock}.*)$"));
    let write = shell_word(&format!("^{name}$"));
    format!(
        "run: rabbitmqctl set_permissions --vhost {vhost} {user} {configure} {write} '' (in the place \
         of all that {user} has there)"
    )
}

/// A regular expression for a name as it is.
fn pattern(name: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    let letters = name.chars();
    letters
        .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}

/// Asks on a channel of its own.
async fn ask(
    connection: &Connection,
    question: impl AsyncFnOnce(Channel) -> lapin::Result<()>,
) -> Answer {
    let lost = |error| Answer::Lost(SinkError::Lost(Box::new(error)));
    let asked = timeout(PATIENCE, async {
        let channel = connection.create_channel().await?;
        question(channel).await
    });
    match asked.await {
        Ok(Ok(())) => Answer::Yes,
        Ok(Err(error)) => match reply_code(&error) {
            Some(code) => Answer::No(code, error.to_string()),
            None => lost(error),
        },
        Err(_) => lost(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}
