//! A private RabbitMQ node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::process::Signal;

use super::account::Account;
use super::encryption::{Certified, Encryption};
use super::error::{During, ServerError};
use super::port;
use super::postgres::{password, run};
use super::process::Process;

/// Where Debian's package and the upstream packages put the scripts that start a node without
/// first changing to the system's RabbitMQ account and folders.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// The name map daemon of Erlang, found in the `PATH` of every installation.
const EPMD: &str = "/usr/bin/epmd";

/// A node: running, reachable on loopback only, and gone when the value is dropped.
#[derive(Debug)]
pub struct RabbitMq {
    account: Account,
    folder: PathBuf,
    port: u16,
    tls_port: u16,
    distribution_port: u16,
    epmd_port: u16,
    user: String,
    password: String,
    node: Option<Arc<Process>>,
    _epmd: Process,
}

impl RabbitMq {
    /// Starts a node with one administrator and the virtual host `/`.
    ///
    /// # Errors
    ///
    /// What went wrong, with the node's last lines.
    pub async fn start() -> Result<Self, ServerError> {
        let mut broker = Self::initialise("")?;
        broker.run().await?;
        Ok(broker)
    }

    /// The same with a listener for TLS too; its certificate is shown there, and asked of clients
    /// if `encryption` says so.
    ///
    /// # Errors
    ///
    /// Those of [`RabbitMq::start`].
    pub async fn start_encrypted(encryption: Encryption<'_>) -> Result<Self, ServerError> {
        let mut broker = Self::initialise(&format!(
            "ssl_options.verify = verify_peer\n\
             ssl_options.fail_if_no_peer_cert = {}\n",
            encryption.clients_must
        ))?;
        broker.show_certificate(encryption.server)?;
        broker.write("clients.pem", encryption.clients)?;
        broker.run().await?;
        Ok(broker)
    }

    fn initialise(tls: &str) -> Result<Self, ServerError> {
        let server = Path::new(SCRIPTS).join("rabbitmq-server");
        let account = Account::of("rabbitmq", &server)?;
        let folder = account.folder("pgevents-rabbitmq-")?;
        let epmd_port = port::free()?;
        let mut epmd = account.command(Path::new(EPMD));
        epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
        let broker = Self {
            account,
            folder,
            port: port::free()?,
            tls_port: port::free()?,
            distribution_port: port::free()?,
            epmd_port,
            user: "lab".into(),
            password: password(),
            node: None,
            _epmd: Process::start("epmd", &mut epmd, Signal::KILL)?,
        };
        broker.configure(tls)?;
        Ok(broker)
    }

    /// AMQP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// AMQP URL for TLS, with this name for the host.
    pub fn encrypted_url(&self, host: &str) -> String {
        let (user, password, port) = (&self.user, &self.password, self.tls_port);
        format!("amqps://{user}:{password}@{host}:{port}/%2f")
    }

    /// Shows another certificate to the clients that connect from now on.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] when the node does not run.
    pub fn change_certificate(&self, shown: &Certified) -> Result<(), ServerError> {
        self.show_certificate(shown)?;
        self.control(&["eval", "ssl:clear_pem_cache()."]).map(drop)
    }

    /// The administrator's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The administrator's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// AMQP URL of the virtual host `/`, credentials included.
    pub fn url(&self) -> String {
        self.url_of(&self.user, &self.password, "%2f")
    }

    /// AMQP URL for another user or virtual host; all three parts are written as they stand.
    pub fn url_of(&self, user: &str, password: &str, vhost: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}/{vhost}", self.port)
    }

    /// The running node.
    ///
    /// # Panics
    ///
    /// Between [`RabbitMq::kill`] and [`RabbitMq::run`].
    pub fn process(&self) -> &Arc<Process> {
        self.node.as_ref().expect("the node runs")
    }

    /// The end of the node's log; empty between [`RabbitMq::kill`] and [`RabbitMq::run`].
    pub fn last_lines(&self) -> String {
        self.node
            .as_ref()
            .map_or_else(String::new, |node| node.stdout().tail(25))
    }

    /// Starts the node on its data folder and waits until it has booted and listens.
    ///
    /// # Errors
    ///
    /// [`ServerError::Ended`] or [`ServerError::Late`] when it does not boot.
    pub async fn run(&mut self) -> Result<(), ServerError> {
        let mut command = self.script("rabbitmq-server");
        let node = Process::start("RabbitMQ", &mut command, Signal::KILL)?;
        let ready = |line: &str| line.contains("Server startup complete");
        node.line(node.stdout(), 0, "readiness", ready).await?;
        self.node = Some(Arc::new(node));
        Ok(())
    }

    /// `kill -9` of the node.
    ///
    /// # Errors
    ///
    /// [`ServerError::Late`] when it does not die.
    pub async fn kill(&mut self) -> Result<(), ServerError> {
        let Some(node) = self.node.take() else {
            return Ok(());
        };
        node.kill_group();
        node.exit().await?;
        Ok(())
    }

    /// Runs `rabbitmqctl` against this node and returns what it printed.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] with its complaint.
    pub fn control(&self, arguments: &[&str]) -> Result<String, ServerError> {
        run(self.script("rabbitmqctl").arg("--quiet").args(arguments))
    }

    /// Raises the memory alarm, on which the broker takes no more messages, or ends it.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] when the node does not run.
    pub fn alarm(&self, raised: bool) -> Result<(), ServerError> {
        let limit = if raised { "1MB" } else { "3GB" };
        self.control(&["set_vm_memory_high_watermark", "absolute", limit])
            .map(drop)
    }

    /// Starts a plugin of the running node.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] with its complaint.
    pub fn enable_plugin(&self, plugin: &str) -> Result<(), ServerError> {
        let mut command = self.script("rabbitmq-plugins");
        run(command.args(["--quiet", "enable", plugin])).map(drop)
    }

    /// Writes the table of quorum queues to disk, which RabbitMQ 3.10 otherwise does half a second
    /// after a declaration (`auto_save` of its DETS table `names.dets`). A node that is killed in
    /// that half second comes back without the queue, whatever the queue has confirmed.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] when the node does not run.
    pub fn write_queue_table(&self) -> Result<(), ServerError> {
        let sync = "[ok = dets:sync(Table) || Table <- dets:all()].";
        self.control(&["eval", sync]).map(drop)
    }

    /// A quorum queue keeps up to 512 MB of its write-ahead log in memory several times over; an
    /// alarm of the shared broker would stop the relays of all tests.
    fn configure(&self, tls: &str) -> Result<(), ServerError> {
        let mut config = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\n\
             default_user = {}\n\
             default_pass = {}\n\
             loopback_users = none\n\
             vm_memory_high_watermark.absolute = 3GB\n\
             disk_free_limit.absolute = 50MB\n\
             log.console.level = info\n",
            self.port, self.user, self.password,
        );
        if !tls.is_empty() {
            let folder = self.folder.display();
            config.push_str(&format!(
                "listeners.ssl.1 = 127.0.0.1:{}\n\
                 ssl_options.cacertfile = {folder}/clients.pem\n\
                 ssl_options.certfile = {folder}/server.pem\n\
                 ssl_options.keyfile = {folder}/server.key\n\
                 {tls}",
                self.tls_port
            ));
        }
        self.write("rabbitmq.conf", &config)?;
        self.write("enabled_plugins", "[].\n")?;
        self.write("env.conf", "")
    }

    fn show_certificate(&self, shown: &Certified) -> Result<(), ServerError> {
        self.write("server.pem", &shown.certificate)?;
        self.write("server.key", &shown.key)
    }

    /// Writes a file of the node's folder, which the node owns.
    fn write(&self, name: &str, text: &str) -> Result<(), ServerError> {
        let file = self.folder.join(name);
        fs::write(&file, text).during(|| format!("write {}", file.display()))?;
        self.account.own(&file)
    }

    /// A script of the node with every path and port its own. `+sbwt none` keeps idle schedulers
    /// from spinning, which would show in every measurement next to the node.
    fn script(&self, name: &str) -> Command {
        let folder = &self.folder;
        let mut command = self.account.command(&Path::new(SCRIPTS).join(name));
        command
            .current_dir(folder)
            .env("HOME", folder)
            // The script then becomes the node (`exec`) instead of its parent.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env(
                "RABBITMQ_NODENAME",
                format!("pgevents{}@localhost", self.port),
            )
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("env.conf"))
            .env(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                folder.join("enabled_plugins"),
            )
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+sbwt none +sbwtdcpu none +sbwtdio none \
                 -kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env("RABBITMQ_CTL_ERL_ARGS", "+sbwt none");
        command
    }
}
