//! One decoding session: from the first callback to the last, the state that they share.

use crate::{
    change::{ChangeWriter, RowImage, Written},
    dictionary::{Dictionary, Entry},
    ffi::{
        self, Context, Encoding, Frame, LogicalMessage, MemoryContext, PLUGIN_REPORTS_PROGRESS,
        PinnedSettings, RowAction, RowChange, Table, TimeZone, Txn,
    },
    output::{JsonOutput, Output},
    transaction::Transaction,
};
use pgevents_proto::{Action, Commit, FRAME_TARGET_BYTES, Hello, Options, OutOfMemory};

/// State of a session that decodes (one that only makes a slot has none).
pub struct Session {
    options: Options,
    dictionary: Dictionary,
    writer: ChangeWriter,
    row_memory: MemoryContext,
    utc: TimeZone,
    batch: Batch,
    output: Output,
    filtered_rows: u64,
    noop_rows: u64,
}

/// What has been written and not yet sent, and what the reader has been told.
struct Batch {
    frame: Frame,
    transaction: Transaction,
    /// Until it has been said.
    hello: Option<Hello>,
    /// Dictionary id that was given last; ids grow in the order of telling.
    last_relation_id: u32,
    /// Ids that will not be used again, until that has been told.
    forgotten: Vec<u32>,
}

impl Session {
    /// Starts a session with the options in force, in frames of this version.
    pub fn start(context: Context, options: Options, version: u32) -> Self {
        let (encoding, database_encoding) = Encoding::of_database();
        let hello = Hello {
            protocol_version: version,
            plugin_version: env!("CARGO_PKG_VERSION").to_owned(),
            server_version_num: ffi::server_version_num().0,
            database_encoding,
            options: options.described(),
        };
        Self {
            dictionary: Dictionary::new(context),
            writer: ChangeWriter::new(encoding, options.max_value_bytes),
            row_memory: context.child_memory(c"pgevents row"),
            utc: ffi::utc(),
            batch: Batch {
                frame: Frame::within(context.frame_memory()),
                transaction: Transaction::default(),
                hello: Some(hello),
                last_relation_id: 0,
                forgotten: Vec::new(),
            },
            output: if options.json {
                Output::Json(Box::new(JsonOutput::new(context)))
            } else {
                Output::Binary
            },
            filtered_rows: 0,
            noop_rows: 0,
            options,
        }
    }

    /// A transaction begins. Nothing is sent before it has a wanted change.
    pub fn begin(&mut self, txn: Txn<'_>) {
        self.batch.transaction.start(txn.begin(), txn.origin());
    }

    /// A row of `table` changed.
    #[inline]
    pub fn change(&mut self, context: Context, table: Table<'_>, change: RowChange<'_>) {
        let wanted = self.wanted_action(change);
        let entry = self
            .dictionary
            .entry(table, &self.options, &mut self.batch.forgotten);
        let (Some(action), true) = (wanted, entry.wanted) else {
            self.filtered_rows += 1;
            return self.skip(context);
        };
        let image = RowImage {
            table,
            change,
            action,
            skip_noop: self.options.skip_noop,
        };
        let written = self
            .batch
            .row(entry, image, &mut self.writer, &self.row_memory, self.utc)
            .unwrap_or_else(|OutOfMemory| ffi::raise_out_of_memory());
        self.row_memory.reset();
        match written {
            Written::Sent => {
                if self.batch.frame.len() >= FRAME_TARGET_BYTES {
                    self.flush(context, false);
                }
            }
            Written::Noop => {
                self.noop_rows += 1;
                self.skip(context);
            }
            Written::Empty => self.skip(context),
        }
    }

    /// Tables were emptied. With `partition-root`, a root and its partitions are one table.
    pub fn truncate(&mut self, context: Context, tables: &[Table<'_>]) {
        let mut told: Vec<(String, String)> = Vec::new();
        for table in tables {
            let entry = self
                .dictionary
                .entry(*table, &self.options, &mut self.batch.forgotten);
            let name = (entry.relation.schema.clone(), entry.relation.name.clone());
            if !entry.wanted || !self.options.actions.truncate || told.contains(&name) {
                self.filtered_rows += u64::from(!told.contains(&name));
                self.skip(context);
                continue;
            }
            told.push(name);
            self.batch
                .truncate(entry)
                .unwrap_or_else(|OutOfMemory| ffi::raise_out_of_memory());
        }
    }

    /// A logical message: in order with the rows of its transaction, or at once outside of any.
    pub fn message(&mut self, context: Context, message: &LogicalMessage<'_>) {
        let prefix = message.prefix();
        match (self.options.wants_message(&prefix), message.transactional) {
            (false, true) => self.skip(context),
            (false, false) => {}
            (true, transactional) => {
                let encoding = self.writer.encoding();
                let limit = self.options.max_value_bytes;
                let body = message.body(encoding, limit, &self.row_memory);
                self.batch
                    .message(message, &prefix, &body)
                    .unwrap_or_else(|OutOfMemory| ffi::raise_out_of_memory());
                self.row_memory.reset();
                if !transactional || self.batch.frame.len() >= FRAME_TARGET_BYTES {
                    self.flush(context, !transactional);
                }
            }
        }
    }

    /// Everything of the transaction has been replayed.
    pub fn commit(&mut self, context: Context) {
        if !self.batch.transaction.announced {
            return context.update_progress(true);
        }
        let commit = Commit {
            end_lsn: self.batch.transaction.begin().0.end_lsn,
            filtered_rows: self.filtered_rows,
            noop_rows: self.noop_rows,
        };
        self.batch
            .frame
            .commit(&commit)
            .unwrap_or_else(|OutOfMemory| ffi::raise_out_of_memory());
        self.flush(context, true);
        context.update_progress(false);
    }

    /// Whether changes that came from another server are kept back.
    pub fn local_only(&self) -> bool {
        self.options.local_only
    }

    /// Counts a change that no reader gets, so that the index of the next one does not depend on
    /// the filters in force.
    fn skip(&mut self, context: Context) {
        if self.batch.transaction.skip() && PLUGIN_REPORTS_PROGRESS {
            context.update_progress(false);
        }
    }

    #[inline]
    fn wanted_action(&self, change: RowChange<'_>) -> Option<RowAction> {
        let actions = self.options.actions;
        change.action().filter(|action| match action {
            RowAction::Insert => actions.insert,
            RowAction::Update => actions.update,
            RowAction::Delete => actions.delete,
        })
    }

    fn flush(&mut self, context: Context, last: bool) {
        self.output.send(context, &mut self.batch.frame, last);
        self.batch.frame.clear();
    }
}

impl Batch {
    /// Writes a row with what the reader must know first. A row that is not sent leaves the frame
    /// as it was.
    #[inline]
    fn row(
        &mut self,
        entry: &mut Entry,
        image: RowImage<'_>,
        writer: &mut ChangeWriter,
        memory: &MemoryContext,
        utc: TimeZone,
    ) -> Result<Written, OutOfMemory> {
        let start = self.frame.len();
        let announcing = !self.transaction.announced || !entry.announced;
        if announcing {
            self.announce(Some(entry))?;
        }
        let Self {
            frame, transaction, ..
        } = self;
        let written = memory.scope(|| {
            let _settings = entry.calls_output.then(|| PinnedSettings::pin(utc));
            writer.write(entry, image, || transaction.take_skipped(), frame)
        })?;
        if written != Written::Sent {
            self.frame.truncate(start);
        } else if announcing {
            self.announced(Some(entry));
        }
        Ok(written)
    }

    fn truncate(&mut self, entry: &mut Entry) -> Result<(), OutOfMemory> {
        self.announce(Some(entry))?;
        let skipped = self.transaction.take_skipped();
        let open = self
            .frame
            .open_change(skipped, Action::Truncate, entry.relation.id)?;
        self.frame.finish_change(open)?;
        self.announced(Some(entry));
        Ok(())
    }

    fn message(
        &mut self,
        message: &LogicalMessage<'_>,
        prefix: &str,
        body: &[u8],
    ) -> Result<(), OutOfMemory> {
        if !message.transactional {
            if let Some(hello) = self.hello.take() {
                self.frame.hello(&hello)?;
            }
            return self.frame.message(None, prefix, body, message.lsn);
        }
        self.announce(None)?;
        let skipped = self.transaction.take_skipped();
        self.frame
            .message(Some(skipped), prefix, body, message.lsn)?;
        self.announced(None);
        Ok(())
    }

    #[cold]
    fn announce(&mut self, entry: Option<&mut Entry>) -> Result<(), OutOfMemory> {
        if let Some(hello) = &self.hello {
            self.frame.hello(hello)?;
        }
        if !self.transaction.announced {
            let (begin, origin) = self.transaction.begin();
            self.frame.begin(begin, origin)?;
        }
        match entry {
            Some(entry) if !entry.announced => {
                entry.relation.id = self.last_relation_id + 1;
                self.frame.relation(&entry.relation, &self.forgotten)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn announced(&mut self, entry: Option<&mut Entry>) {
        self.hello = None;
        self.transaction.announced = true;
        if let Some(entry) = entry.filter(|entry| !entry.announced) {
            entry.announced = true;
            self.last_relation_id = entry.relation.id;
            self.forgotten.clear();
        }
    }
}
