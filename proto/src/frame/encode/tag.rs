//! Protobuf field tags, `field number << 3 | wire type`, under the names of `pgevents.proto`.

const VARINT: u8 = 0;
const I64: u8 = 1;
const LEN: u8 = 2;
const I32: u8 = 5;

pub const FRAME_HELLO: u8 = 1 << 3 | LEN;
pub const FRAME_RELATION: u8 = 2 << 3 | LEN;
pub const FRAME_BEGIN: u8 = 3 << 3 | LEN;
pub const FRAME_CHANGE: u8 = 4 << 3 | LEN;
pub const FRAME_COMMIT: u8 = 5 << 3 | LEN;
pub const FRAME_MESSAGE: u8 = 6 << 3 | LEN;

pub const HELLO_PROTOCOL_VERSION: u8 = 1 << 3 | VARINT;
pub const HELLO_PLUGIN_VERSION: u8 = 2 << 3 | LEN;
pub const HELLO_SERVER_VERSION_NUM: u8 = 3 << 3 | VARINT;
pub const HELLO_DATABASE_ENCODING: u8 = 4 << 3 | LEN;
pub const HELLO_OPTION: u8 = 5 << 3 | LEN;

pub const RELATION_ID: u8 = 1 << 3 | VARINT;
pub const RELATION_OID: u8 = 2 << 3 | VARINT;
pub const RELATION_SCHEMA: u8 = 3 << 3 | LEN;
pub const RELATION_NAME: u8 = 4 << 3 | LEN;
pub const RELATION_REPLICA_IDENTITY: u8 = 5 << 3 | VARINT;
pub const RELATION_COLUMN: u8 = 6 << 3 | LEN;
pub const RELATION_PRIMARY_KEY: u8 = 7 << 3 | LEN;
pub const RELATION_FORGOTTEN_ID: u8 = 8 << 3 | LEN;

pub const COLUMN_NAME: u8 = 1 << 3 | LEN;
pub const COLUMN_TYPE_OID: u8 = 2 << 3 | VARINT;
pub const COLUMN_KIND: u8 = 3 << 3 | VARINT;
pub const COLUMN_IDENTITY: u8 = 4 << 3 | VARINT;

pub const BEGIN_END_LSN: u8 = 1 << 3 | I64;
pub const BEGIN_COMMIT_TIME: u8 = 2 << 3 | I64;
pub const BEGIN_XID: u8 = 3 << 3 | VARINT;
pub const BEGIN_ORIGIN: u8 = 4 << 3 | LEN;
pub const BEGIN_COMMIT_LSN: u8 = 5 << 3 | I64;

pub const COMMIT_END_LSN: u8 = 1 << 3 | I64;
pub const COMMIT_FILTERED_ROWS: u8 = 2 << 3 | VARINT;
pub const COMMIT_NOOP_ROWS: u8 = 3 << 3 | VARINT;

pub const CHANGE_SKIPPED: u8 = 1 << 3 | VARINT;
pub const CHANGE_ACTION: u8 = 2 << 3 | VARINT;
pub const CHANGE_RELATION: u8 = 3 << 3 | VARINT;
pub const CHANGE_NEW: u8 = 4 << 3 | LEN;
pub const CHANGE_OLD: u8 = 5 << 3 | LEN;
pub const CHANGE_OLD_COMPLETE: u8 = 6 << 3 | VARINT;
pub const CHANGE_MESSAGE: u8 = 7 << 3 | LEN;

pub const ROW_COLUMNS: u8 = 1 << 3 | LEN;
pub const ROW_NULLS: u8 = 2 << 3 | LEN;
pub const ROW_OMITTED: u8 = 3 << 3 | LEN;
pub const ROW_INTEGER: u8 = 4 << 3 | VARINT;
pub const ROW_MICROS: u8 = 5 << 3 | I64;
pub const ROW_FLOAT4: u8 = 6 << 3 | I32;
pub const ROW_FLOAT8: u8 = 7 << 3 | I64;
pub const ROW_BYTES: u8 = 8 << 3 | LEN;

pub const OMITTED_COLUMN: u8 = 1 << 3 | VARINT;
pub const OMITTED_REASON: u8 = 2 << 3 | VARINT;
pub const OMITTED_SIZE: u8 = 3 << 3 | VARINT;

pub const MESSAGE_PREFIX: u8 = 1 << 3 | LEN;
pub const MESSAGE_CONTENT: u8 = 2 << 3 | LEN;
pub const MESSAGE_LSN: u8 = 3 << 3 | I64;
