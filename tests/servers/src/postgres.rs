//! A private PostgreSQL server with the plugin under test.

mod shutdown;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::process::Signal;
use tokio_postgres::{Client, Config, NoTls};

use super::account::Account;
use super::disk::SmallDisk;
use super::encryption::{Certified, Encryption};
use super::error::{During, ServerError};
use super::port;
use super::process::Process;
use pgevents_dev::dist::{self, Installation};

/// Settings of every private server. Values are written as they stand into postgresql.conf.
///
/// Without fsync a `kill -9` still loses nothing, since the kernel keeps what was written; only a
/// power cut would, and no test can make one.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
wal_level = logical
max_connections = 200
max_replication_slots = 100
max_wal_senders = 100
max_prepared_transactions = 10
max_wal_size = 4GB
fsync = off
shared_buffers = 64MB
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] %d '
lc_messages = 'C'
";

/// The role that relays use: it may log in and replicate, and nothing else.
pub const RELAY_ROLE: &str = "relay";

/// A PostgreSQL server: initialised, running, and gone when the value is dropped.
#[derive(Debug)]
pub struct Postgres {
    installation: Installation,
    account: Account,
    folder: PathBuf,
    port: u16,
    superuser_password: String,
    relay_password: String,
    process: Option<Arc<Process>>,
    /// What the server runs under, with arguments.
    runner: Vec<String>,
}

impl Postgres {
    /// Initialises and starts a server that can load the plugin from the dist folder.
    ///
    /// `settings` are lines of postgresql.conf that come after, and so win over, the lab's own.
    ///
    /// # Errors
    ///
    /// [`ServerError::Dist`] when PostgreSQL or the plugin is missing, otherwise what went wrong,
    /// with the server's last lines.
    pub async fn start(settings: &str) -> Result<Self, ServerError> {
        Self::start_under(&[], settings).await
    }

    /// The same, with the server as a child of `runner`, a program with its arguments; none if
    /// empty.
    ///
    /// # Errors
    ///
    /// As for [`Postgres::start`].
    pub async fn start_under(runner: &[&str], settings: &str) -> Result<Self, ServerError> {
        let installation = Installation::find()?;
        let plugin = dist::built(dist::plugin(installation.major))?;
        let mut server = Self::initialise(installation)?;
        server.runner = runner.iter().map(|word| (*word).to_owned()).collect();
        server.configure(&plugin, settings)?;
        server.run().await?;
        server.create_relay_role().await?;
        Ok(server)
    }

    /// The same with TLS, which the relay's role has to use, and with this role's certificate too
    /// if `encryption` says so.
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::start`].
    pub async fn start_encrypted(encryption: Encryption<'_>) -> Result<Self, ServerError> {
        let installation = Installation::find()?;
        let plugin = dist::built(dist::plugin(installation.major))?;
        let mut server = Self::initialise(installation)?;
        server.configure(&plugin, "ssl = on\nssl_ca_file = 'clients.crt'")?;
        server.show_certificate(encryption.server)?;
        server.write("clients.crt", encryption.clients)?;
        let certificate = if encryption.clients_must {
            "clientcert=verify-full"
        } else {
            ""
        };
        let rules = fs::read_to_string(server.data().join("pg_hba.conf"))
            .during(|| "read pg_hba.conf".into())?;
        let ours = format!(
            "hostssl all {RELAY_ROLE} 127.0.0.1/32 scram-sha-256 {certificate}\n\
             host all {RELAY_ROLE} 127.0.0.1/32 reject\n"
        );
        server.write("pg_hba.conf", &format!("{ours}{rules}"))?;
        server.run().await?;
        server.create_relay_role().await?;
        Ok(server)
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Folder of the server's Unix socket.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The installation it runs from.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Password of `postgres`, the superuser.
    pub fn superuser_password(&self) -> &str {
        &self.superuser_password
    }

    /// Password of [`RELAY_ROLE`].
    pub fn relay_password(&self) -> &str {
        &self.relay_password
    }

    /// The running server process.
    ///
    /// # Panics
    ///
    /// Between [`Postgres::kill`] or [`Postgres::stop`] and [`Postgres::run`].
    pub fn process(&self) -> &Arc<Process> {
        self.process.as_ref().expect("the server runs")
    }

    /// Connects as superuser.
    ///
    /// # Errors
    ///
    /// [`ServerError::Sql`] with the server's refusal.
    pub async fn connect(&self, database: &str) -> Result<Client, ServerError> {
        Ok(connect(&self.superuser(database)).await?)
    }

    /// How to connect to a database as superuser, also while the server is away.
    pub fn superuser(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).dbname(database);
        config.user("postgres").password(&self.superuser_password);
        config
    }

    /// A program of the server's own, such as psql, as superuser of a database.
    pub fn program(&self, name: &str, database: &str) -> Command {
        let mut command = Command::new(self.installation.bindir.join(name));
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", "postgres", "-d", database])
            .env("PGPASSWORD", &self.superuser_password)
            .env_remove("PGCLIENTENCODING");
        command
    }

    /// Any program, as the system account that the server runs as.
    pub fn command(&self, program: &Path) -> Command {
        self.account.command(program)
    }

    /// Starts the server on its data folder and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// [`ServerError::Ended`] when it refuses its configuration.
    pub async fn run(&mut self) -> Result<(), ServerError> {
        let server = self.installation.bindir.join("postgres");
        let mut command = match self.runner.split_first() {
            Some((runner, arguments)) => {
                let mut command = self.account.command(Path::new(runner));
                command.args(arguments).arg(server);
                command
            }
            None => self.account.command(&server),
        };
        command.arg("-D").arg(self.data()).current_dir(&self.folder);
        let process = Process::start("PostgreSQL", &mut command, Signal::QUIT)?;
        let ready = |line: &str| line.contains("database system is ready to accept connections");
        process
            .line(process.stderr(), 0, "readiness", ready)
            .await?;
        self.process = Some(Arc::new(process));
        Ok(())
    }

    /// Lets a stopped server come back on a new timeline, as one that was restored from an archive
    /// to the end of its WAL.
    ///
    /// # Errors
    ///
    /// [`ServerError::Io`] when the files cannot be written.
    pub fn restore(&self) -> Result<(), ServerError> {
        self.append_settings("restore_command = '/bin/false'")?;
        let signal = self.data().join("recovery.signal");
        fs::write(&signal, "").during(|| "write recovery.signal".into())?;
        self.account.own(&signal)
    }

    /// Copies the disk of a stopped server.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] when it cannot be copied.
    pub fn copy_disk(&self) -> Result<(), ServerError> {
        let copy = self.folder.join("copy");
        run(Command::new("cp").arg("-a").arg(self.data()).arg(copy)).map(drop)
    }

    /// Sets a stopped server back to the copy of its disk.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] when it cannot be copied.
    pub fn set_back(&self) -> Result<(), ServerError> {
        let data = self.data();
        fs::remove_dir_all(&data).during(|| format!("remove {}", data.display()))?;
        let copy = self.folder.join("copy");
        run(Command::new("cp").arg("-a").arg(copy).arg(data)).map(drop)
    }

    /// Puts slots and spill files on a disk of so many bytes, while there is no slot: the server is
    /// stopped and started for it.
    ///
    /// # Errors
    ///
    /// [`ServerError::Command`] where mounting is not allowed; the server then runs as before.
    pub async fn move_spill(&mut self, bytes: u64) -> Result<SmallDisk, ServerError> {
        let folder = self.data().join("pg_replslot");
        self.stop().await?;
        let disk = SmallDisk::over(&folder, bytes);
        if disk.is_ok() {
            self.account.own(&folder)?;
        }
        self.run().await?;
        disk
    }

    /// Adds lines to postgresql.conf; they count from the next reload or start on.
    ///
    /// # Errors
    ///
    /// [`ServerError::Io`] when the file cannot be written.
    pub fn append_settings(&self, lines: &str) -> Result<(), ServerError> {
        let file = self.data().join("postgresql.conf");
        let name = || format!("write {}", file.display());
        let mut text = fs::read_to_string(&file).during(name)?;
        text.push_str(lines);
        text.push('\n');
        fs::write(&file, text).during(name)
    }

    /// Whether this minor release has the setting `output_plugin_libraries` (14.24, 15.19, 16.15,
    /// 17.11, 18.6 and later). Others refuse to start when it is in postgresql.conf.
    pub fn has_plugin_list(&self) -> bool {
        let mut command = self
            .account
            .command(&self.installation.bindir.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-C", "output_plugin_libraries"]);
        command.output().is_ok_and(|output| output.status.success())
    }

    fn show_certificate(&self, shown: &Certified) -> Result<(), ServerError> {
        self.write("server.crt", &shown.certificate)?;
        self.write("server.key", &shown.key)
    }

    /// Writes a file of the data folder, readable by the server alone.
    fn write(&self, name: &str, text: &str) -> Result<(), ServerError> {
        let file = self.data().join(name);
        fs::write(&file, text)
            .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o600)))
            .during(|| format!("write {}", file.display()))?;
        self.account.own(&file)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn initialise(installation: Installation) -> Result<Self, ServerError> {
        let initdb = installation.bindir.join("initdb");
        let account = Account::of("postgres", &initdb)?;
        let folder = account.folder("pgevents-postgres-")?;
        let mut server = Self {
            installation,
            account,
            folder,
            port: port::free()?,
            superuser_password: password(),
            relay_password: password(),
            process: None,
            runner: Vec::new(),
        };
        let password_file = server.folder.join("password");
        fs::write(&password_file, &server.superuser_password)
            .and_then(|()| fs::set_permissions(&password_file, Permissions::from_mode(0o600)))
            .during(|| "write the superuser's password".into())?;
        server.account.own(&password_file)?;
        let mut command = server.account.command(&initdb);
        command
            .arg("-D")
            .arg(server.data())
            .arg("--pwfile")
            .arg(&password_file);
        command.args([
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--no-locale",
        ]);
        command.arg("--no-sync").current_dir(&server.folder);
        run(&mut command)?;
        server.process = None;
        Ok(server)
    }

    fn configure(&self, plugin: &Path, settings: &str) -> Result<(), ServerError> {
        let plugin_folder = plugin.parent().unwrap_or(plugin).display();
        self.append_settings(&format!(
            "{SETTINGS}port = {}\nunix_socket_directories = '{}'\n\
             dynamic_library_path = '{plugin_folder}:$libdir'\n",
            self.port,
            self.folder.display(),
        ))?;
        if self.has_plugin_list() {
            let list = "'pgoutput, test_decoding, wal2json, pgevents'";
            self.append_settings(&format!("output_plugin_libraries = {list}"))?;
        }
        self.append_settings(settings)
    }

    async fn create_relay_role(&self) -> Result<(), ServerError> {
        let client = self.connect("postgres").await?;
        let password = &self.relay_password;
        let sql = format!("CREATE ROLE {RELAY_ROLE} LOGIN REPLICATION PASSWORD '{password}'");
        Ok(client.batch_execute(&sql).await?)
    }
}

/// Connects; the connection ends with its client, or when the server does, which the client says.
///
/// # Errors
///
/// What the server or the network says.
pub async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A password that no log can hold by chance.
pub(super) fn password() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(24)
        .collect()
}

/// Runs a tool to its end.
pub(super) fn run(command: &mut Command) -> Result<String, ServerError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().during(|| format!("start {name}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    Err(ServerError::Command {
        command: format!("{name} {}", arguments.join(" ")),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
