//! What can be set: the command line as typed.

mod consumer;
mod doctor;
mod log;
mod plugin;
mod postgres;
mod producer;
mod rabbitmq;
mod slot;
mod words;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use consumer::ConsumerArgs;
pub use doctor::DoctorArgs;
pub use log::LogArgs;
pub use plugin::PluginArgs;
pub use postgres::PostgresArgs;
pub use producer::{ProducerArgs, SinkKind};
pub use rabbitmq::RabbitmqArgs;
pub use slot::{SlotArgs, SlotCommand, WhichSlot};
pub use words::Word;

/// Moves the changes of PostgreSQL tables to RabbitMQ, one JSON event per row.
///
/// Every change of a committed transaction arrives at least once and in commit order; a change is
/// acknowledged to PostgreSQL only after the broker has confirmed it.
#[derive(Debug, Parser)]
#[command(name = "pgevents", version, after_long_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   stopped as asked (SIGTERM, SIGINT, or the reader of standard output went away)
  1   doctor has found something that has to be mended
  2   a setting, a permission or the server's configuration has to be changed first
  3   a second signal came before the stop was complete; what was in flight is sent again
  10  the slot existed before and is gone       11  the slot is lost: WAL was removed
  12  the slot was moved or made anew, or this is another system, timeline or an older copy
  13  plugin and relay speak different versions
  20  the broker refuses: login, permission, virtual host, exchange type
  21  no queue wants an event, and --unroutable is stop
  22  an event is too large, and --too-large is stop
  23  a frame cannot be decoded                 70  a bug
A lost connection is no exit: the relay reconnects.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads a replication slot and publishes its changes.
    #[command(after_long_help = producer::EXAMPLE)]
    Producer(Box<ProducerArgs>),
    /// Prints every message of an exchange: its routing key, then the event.
    #[command(name = "consumer_debug", visible_alias = "event_logger", after_long_help = consumer::EXAMPLE)]
    ConsumerDebug(ConsumerArgs),
    /// Examines both ends and says what has to be mended; takes the flags of producer.
    ///
    /// Prints a line for each check: ok, warn (works, but), fail (the relay cannot start, or events
    /// will be missing) or skip (could not be looked at), each with the SQL or command that mends
    /// it. Exit code 0: nothing failed; 1: something did; 2: a setting cannot be used. Changes
    /// nothing.
    Doctor(Box<DoctorArgs>),
    /// Makes, shows or drops the replication slot.
    Slot(SlotArgs),
    /// Succeeds when the process with the same PGEVENTS_HEALTH_FILE works.
    ///
    /// For health checks of containers and services: a producer or consumer keeps the file's time
    /// of change young while it streams, waits as standby, or waits for events. Exit code 1 when it
    /// is older than 30 seconds, or missing.
    Health,
    /// Prints what a shell needs to complete this command line.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages into a folder.
    Man {
        /// The folder; it must exist.
        folder: PathBuf,
    },
    /// Prints the reference of all settings, in Markdown.
    Reference,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_of_the_python_pgevents_are_taken() {
        let words = "pgevents producer --pg_host h --pg_port 1 --pg_database d --pg_user u \
             --pg_password p --pg_tables a.b --pg_replication_slot s --rabbitmq_url amqp://h \
             --rabbitmq_exchange e";
        let cli = Cli::try_parse_from(words.split_whitespace()).expect("accepted");
        let Command::Producer(args) = cli.command else {
            panic!("another command")
        };
        assert_eq!(args.pgslot.as_deref(), Some("s"));
        assert_eq!(args.postgres.pghost.as_deref(), Some("h"));
        assert_eq!(args.rabbitmq.rabbitmq_exchange.as_deref(), Some("e"));
        let cli = Cli::try_parse_from(["pgevents", "event_logger"]).expect("accepted");
        assert!(matches!(cli.command, Command::ConsumerDebug(_)));
    }

    #[test]
    fn secrets_of_the_command_line_are_not_printed() {
        let words = [
            "pgevents",
            "producer",
            "--pgpassword=canary",
            "--rabbitmq-url=canary",
        ];
        let cli = Cli::try_parse_from(words).expect("accepted");
        assert!(!format!("{cli:?}").contains("canary"));
    }
}
