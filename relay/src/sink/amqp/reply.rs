use lapin::ErrorKind;

use crate::sink::SinkError;

/// The AMQP reply code in an error of the broker, if it is one. Source: AMQP 0-9-1, 1.2.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// The connection broke.
pub(crate) fn lost(source: lapin::Error) -> SinkError {
    SinkError::Lost(Box::new(source))
}
