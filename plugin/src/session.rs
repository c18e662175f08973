//! One decoding session: from the first callback to the last, the state that they share.

use pgevents_proto::{
    Commit, FRAME_TARGET_BYTES, FrameEncoder, Hello, OutOfMemory, PROTOCOL_VERSION,
};
use pgrx::{PgSqlErrorCode, ereport};

use crate::{
    change::{ChangeWriter, Written},
    dictionary::{Dictionary, Entry},
    ffi::{
        self, Context, Encoding, MemoryContext, PLUGIN_REPORTS_PROGRESS, PinnedSettings, RowAction,
        RowChange, Table, TimeZone, Txn,
    },
    options::Options,
    transaction::Transaction,
};

/// State of a session that decodes (one that only makes a slot has none).
pub struct Session {
    options: Options,
    dictionary: Dictionary,
    frame: FrameEncoder,
    writer: ChangeWriter,
    transaction: Transaction,
    hello: Option<Hello>,
    row_memory: MemoryContext,
    utc: TimeZone,
    filtered_rows: u64,
    noop_rows: u64,
}

impl Session {
    /// Starts a session with the options in force.
    pub fn start(context: Context, options: Options) -> Self {
        let (encoding, database_encoding) = Encoding::of_database();
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            plugin_version: env!("CARGO_PKG_VERSION").to_owned(),
            server_version_num: ffi::server_version_num().0,
            database_encoding,
            options: options.described().to_vec(),
        };
        Self {
            dictionary: Dictionary::new(context),
            frame: FrameEncoder::new(),
            writer: ChangeWriter::new(encoding, options.max_value_bytes),
            transaction: Transaction::default(),
            hello: Some(hello),
            row_memory: context.child_memory(c"pgevents row"),
            utc: ffi::utc(),
            filtered_rows: 0,
            noop_rows: 0,
            options,
        }
    }

    /// A transaction begins. Nothing is sent before it has a wanted change.
    pub fn begin(&mut self, txn: Txn<'_>) {
        self.transaction.start(txn.begin(), txn.origin());
        // What an ERROR left behind in the SQL interface's previous transaction is no part of this.
        self.frame.clear();
    }

    /// A row of `table` changed.
    #[inline]
    pub fn change(&mut self, context: Context, table: Table<'_>, change: RowChange<'_>) {
        let wanted = self.wanted_action(change);
        let entry = self.dictionary.entry(table, &self.options);
        let (Some(action), true) = (wanted, entry.wanted) else {
            self.filtered_rows += 1;
            return self.skip(context);
        };
        let size = self.frame.len();
        let written = write(
            &mut self.frame,
            &mut self.writer,
            &mut self.transaction,
            &mut self.hello,
            entry,
            Row {
                table,
                change,
                action,
                skip_noop: self.options.skip_noop,
            },
            (&self.row_memory, self.utc),
        )
        .unwrap_or_else(|OutOfMemory| raise_out_of_memory());
        self.row_memory.reset();
        match written {
            Written::Sent => {
                if self.frame.len() >= FRAME_TARGET_BYTES {
                    self.flush(context, false);
                }
            }
            Written::Noop | Written::Empty => {
                self.noop_rows += u64::from(written == Written::Noop);
                debug_assert_eq!(size, self.frame.len());
                self.skip(context);
            }
        }
    }

    /// Everything of the transaction has been replayed.
    pub fn commit(&mut self, context: Context) {
        if !self.transaction.announced {
            return context.update_progress(true);
        }
        let commit = Commit {
            end_lsn: self.transaction.begin().0.end_lsn,
            filtered_rows: self.filtered_rows,
            noop_rows: self.noop_rows,
        };
        self.frame
            .commit(&commit)
            .unwrap_or_else(|OutOfMemory| raise_out_of_memory());
        self.flush(context, true);
        context.update_progress(false);
    }

    /// Counts a change that no reader gets, so that the index of the next one does not depend on
    /// the filters in force.
    pub fn skip(&mut self, context: Context) {
        if self.transaction.skip() && PLUGIN_REPORTS_PROGRESS {
            context.update_progress(false);
        }
    }

    #[inline]
    fn wanted_action(&self, change: RowChange<'_>) -> Option<RowAction> {
        let actions = self.options.actions();
        change.action().filter(|action| match action {
            RowAction::Insert => actions.insert,
            RowAction::Update => actions.update,
            RowAction::Delete => actions.delete,
        })
    }

    fn flush(&mut self, context: Context, last: bool) {
        context.write(self.frame.bytes(), last);
        self.frame.clear();
    }
}

struct Row<'a> {
    table: Table<'a>,
    change: RowChange<'a>,
    action: RowAction,
    skip_noop: bool,
}

/// Writes what the reader must know first, then the change. A no-op leaves the frame as it was.
#[inline]
fn write(
    frame: &mut FrameEncoder,
    writer: &mut ChangeWriter,
    transaction: &mut Transaction,
    hello: &mut Option<Hello>,
    entry: &mut Entry,
    row: Row<'_>,
    (memory, utc): (&MemoryContext, TimeZone),
) -> Result<Written, OutOfMemory> {
    let start = frame.len();
    let announce = !transaction.announced || !entry.announced;
    if announce {
        write_announcements(frame, transaction, hello.as_ref(), entry)?;
    }
    let skipped = || transaction.take_skipped();
    let written = memory.scope(|| {
        let _settings = entry.calls_output.then(|| PinnedSettings::pin(utc));
        writer.write(
            row.table,
            entry,
            row.change,
            row.action,
            row.skip_noop,
            skipped,
            frame,
        )
    })?;
    if written != Written::Sent {
        frame.truncate(start);
    } else if announce {
        transaction.announced = true;
        entry.announced = true;
        *hello = None;
    }
    Ok(written)
}

#[cold]
fn write_announcements(
    frame: &mut FrameEncoder,
    transaction: &Transaction,
    hello: Option<&Hello>,
    entry: &Entry,
) -> Result<(), OutOfMemory> {
    if let Some(hello) = hello {
        frame.hello(hello)?;
    }
    if !transaction.announced {
        let (begin, origin) = transaction.begin();
        frame.begin(begin, origin)?;
    }
    if !entry.announced {
        frame.relation(&entry.relation)?;
    }
    Ok(())
}

/// PostgreSQL's own out-of-memory ERROR. It ends this walsender, not the cluster; the next try may
/// find memory.
#[cold]
fn raise_out_of_memory() -> ! {
    ereport!(
        ERROR,
        PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        "pgevents: grow frame buffer: out of memory"
    );
}
