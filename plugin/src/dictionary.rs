//! The session's schema dictionary: what is known of each table, kept until the catalog changes.

use std::collections::HashMap;

use pgevents_proto::{Column as WireColumn, Options, Relation, ReplicaIdentity};
use pgrx::pg_sys::{FirstNormalObjectId, Oid};

use crate::{
    column::{Column, JsonTypes},
    ffi::{
        Attribute, Context, Invalidations, MemoryContext, Table, raise_if_used, raise_out_of_memory,
    },
};

/// Definitions that are kept although they have changed. One whose table is seen again need not be
/// told again if it turns out to be the same; but dropped tables are not seen again.
const KEPT_STALE: usize = 256;

/// One definition of one table, with the plan for its rows.
pub struct Entry {
    /// What the reader is told; its id means something once it has been.
    pub relation: Relation,
    /// Whether it has been told in this session.
    pub announced: bool,
    /// Whether rows of the table are wanted.
    pub wanted: bool,
    /// How the columns are read, in the order of `relation.columns`.
    pub columns: Vec<Column>,
    /// Bitmap of the columns of the identity key.
    pub identity: Vec<u8>,
    /// Whether a column needs the pinned settings.
    pub calls_output: bool,
    /// Where the look-ups of `columns` live.
    memory: MemoryContext,
    stale: bool,
    has_user_types: bool,
    named_by_root: bool,
}

/// What is known of each table.
pub struct Dictionary {
    entries: Vec<Entry>,
    /// Place in `entries` by object id.
    places: HashMap<Oid, usize>,
    /// Place of the last change's table: nearly always that of the next change too.
    last: usize,
    memory: MemoryContext,
}

impl Dictionary {
    /// An empty one, whose look-ups live in a child of the decoding context.
    pub fn new(context: Context) -> Self {
        Invalidations::register();
        Self {
            entries: Vec::new(),
            places: HashMap::new(),
            last: 0,
            memory: context.child_memory(c"pgevents dictionary"),
        }
    }

    /// The entry of an open table, made or made again if need be. Adds ids that are told and will
    /// not be used again to `forgotten`.
    #[inline]
    pub fn entry(
        &mut self,
        table: Table<'_>,
        options: &Options,
        forgotten: &mut Vec<u32>,
    ) -> &mut Entry {
        if Invalidations::pending() {
            self.invalidate(forgotten);
        }
        let fresh = |entry: &Entry| entry.is_of(table) && !entry.stale;
        if !self.entries.get(self.last).is_some_and(fresh) {
            self.last = self.find(table, options);
        }
        &mut self.entries[self.last]
    }

    /// Place of a table's entry that is not stale.
    fn find(&mut self, table: Table<'_>, options: &Options) -> usize {
        let place = self.places.get(&table.oid()).copied();
        if let Some(place) = place.filter(|&place| !self.entries[place].stale) {
            return place;
        }
        let mut entry = Entry::build(table, options, &self.memory);
        let Some(place) = place else {
            let room = (self.entries.try_reserve(1)).and(self.places.try_reserve(1));
            room.unwrap_or_else(|_| raise_out_of_memory());
            self.entries.push(entry);
            self.places.insert(table.oid(), self.entries.len() - 1);
            return self.entries.len() - 1;
        };
        let previous = &self.entries[place];
        // Most invalidations (statistics, a new index) leave the definition as it was.
        entry.relation.id = previous.relation.id;
        entry.announced = previous.announced && previous.relation == entry.relation;
        let previous = std::mem::replace(&mut self.entries[place], entry);
        previous.memory.delete();
        place
    }

    #[cold]
    fn invalidate(&mut self, forgotten: &mut Vec<u32>) {
        let changed = Invalidations::take();
        let mut stale = 0;
        for entry in &mut self.entries {
            entry.stale |= changed.table(Oid::from(entry.relation.oid))
                // A change of an ancestor may rename the partition, and a composite type that gets
                // another attribute changes as a table does.
                || (changed.any_table() && (entry.named_by_root || entry.has_user_types))
                || (changed.types && entry.has_user_types);
            stale += usize::from(entry.stale);
        }
        if stale > KEPT_STALE {
            self.forget_stale(forgotten);
        }
    }

    /// Makes room: most of so many are of tables that have been dropped, and one that has not is
    /// told again.
    fn forget_stale(&mut self, forgotten: &mut Vec<u32>) {
        let room = forgotten.try_reserve(self.entries.len());
        room.unwrap_or_else(|_| raise_out_of_memory());
        for entry in self.entries.extract_if(.., |entry| entry.stale) {
            if entry.announced {
                forgotten.push(entry.relation.id);
            }
            entry.memory.delete();
        }
        // There are fewer than before, so that nothing is allocated.
        self.places.clear();
        let places = self.entries.iter().enumerate();
        self.places
            .extend(places.map(|(place, entry)| (Oid::from(entry.relation.oid), place)));
    }
}

impl Entry {
    #[inline]
    fn is_of(&self, table: Table<'_>) -> bool {
        self.relation.oid == u32::from(table.oid())
    }

    fn build(table: Table<'_>, options: &Options, memory: &MemoryContext) -> Self {
        let memory = memory.child(c"pgevents relation");
        let (schema, name) = memory.scope(|| table.name(options.partition_root));
        let wanted = table.is_user_table() && options.wants_table(&schema, &name);
        let mut entry = Self {
            relation: Relation {
                id: 0,
                oid: u32::from(table.oid()),
                schema,
                name,
                replica_identity: ReplicaIdentity::Nothing,
                columns: Vec::new(),
                primary_key: Vec::new(),
            },
            announced: false,
            wanted,
            columns: Vec::new(),
            identity: Vec::new(),
            calls_output: false,
            memory,
            stale: false,
            has_user_types: false,
            named_by_root: options.partition_root && table.is_partition(),
        };
        if wanted {
            entry.plan_columns(table, options);
        }
        entry
    }

    fn plan_columns(&mut self, table: Table<'_>, options: &Options) {
        let (identity_key, primary_key) = (table.identity_key(), table.primary_key());
        let mut attributes = table.attributes();
        let mut keyless = false;
        attributes.retain(|attribute| {
            let excluded = options.excludes_column(
                &self.relation.schema,
                &self.relation.name,
                &attribute.name,
            );
            let is_key = |key: &[usize]| key.contains(&attribute.index);
            keyless |= excluded && is_key(&primary_key);
            // The generated value of a virtual column is nowhere in the WAL.
            !attribute.virtual_generated && !excluded
        });
        self.relation.replica_identity = match table.replica_identity() {
            b'f' => ReplicaIdentity::Full,
            b'd' | b'i' if !identity_key.is_empty() => ReplicaIdentity::Key,
            _ => ReplicaIdentity::Nothing,
        };
        let keyed = self.relation.replica_identity == ReplicaIdentity::Key;
        self.identity = vec![0; attributes.len().div_ceil(8)];
        let mut types = JsonTypes::default();
        for (position, attribute) in attributes.iter().enumerate() {
            let identity = keyed && identity_key.contains(&attribute.index);
            if identity {
                self.identity[position / 8] |= 1 << (position % 8);
            }
            self.plan_column(attribute, identity, &mut types);
        }
        // What is excluded stays so, and without a part of its key no row could be told from
        // another. An ERROR here would let the owner of one table stop the events of all.
        if !keyless {
            self.relation.primary_key = primary_key
                .into_iter()
                .filter_map(|index| attributes.iter().position(|a| a.index == index))
                .map(|position| position as u32)
                .collect();
        }
    }

    fn plan_column(&mut self, attribute: &Attribute, identity: bool, types: &mut JsonTypes) {
        raise_if_used();
        let column = self
            .memory
            .scope(|| Column::plan(attribute, types, &self.memory));
        self.calls_output |= column.form.calls_output();
        self.has_user_types |= u32::from(attribute.type_oid) >= FirstNormalObjectId;
        self.relation.columns.push(WireColumn {
            name: attribute.name.clone(),
            type_oid: u32::from(attribute.type_oid),
            kind: column.kind,
            identity,
        });
        self.columns.push(column);
    }
}
