//! Methods and messages as bytes. Source: AMQP 0-9-1 specification, section 4.2.

use super::{BODY, CHANNEL, FRAME_END, HEADER, METHOD};

/// A method that is about to be sent.
#[derive(Clone, Debug)]
pub struct Method {
    payload: Vec<u8>,
}

impl Method {
    /// A method without arguments.
    pub fn new(class: u16, number: u16) -> Self {
        let method = Self {
            payload: Vec::new(),
        };
        method.u16(class).u16(number)
    }

    /// Class and number.
    pub fn name(&self) -> (u16, u16) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|n| self.payload[n]);
        (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }

    /// Adds a number of two bytes.
    pub fn u16(mut self, value: u16) -> Self {
        self.payload.extend(value.to_be_bytes());
        self
    }

    /// Adds a number of four bytes.
    pub fn u32(mut self, value: u32) -> Self {
        self.payload.extend(value.to_be_bytes());
        self
    }

    /// Adds a number of eight bytes.
    pub fn u64(mut self, value: u64) -> Self {
        self.payload.extend(value.to_be_bytes());
        self
    }

    /// Adds up to eight flags, the first one lowest.
    pub fn bits(mut self, bits: u8) -> Self {
        self.payload.push(bits);
        self
    }

    /// Adds a string of up to 255 bytes.
    pub fn short(mut self, text: &str) -> Self {
        short(&mut self.payload, text);
        self
    }

    /// Adds a long string.
    pub fn long(mut self, text: &str) -> Self {
        long(&mut self.payload, text);
        self
    }

    /// Adds a table of strings.
    pub fn table(mut self, entries: &[(&str, &str)]) -> Self {
        let mut table = Vec::new();
        for (name, value) in entries {
            short(&mut table, name);
            table.push(b'S');
            long(&mut table, value);
        }
        self.payload.extend((table.len() as u32).to_be_bytes());
        self.payload.extend(table);
        self
    }

    /// The frame for a channel.
    pub fn frame(&self, channel: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(&mut bytes, METHOD, channel, &self.payload);
        bytes
    }
}

/// Appends a whole message: persistent JSON, mandatory, with time and id, as the relay sends it.
pub fn publish(
    out: &mut Vec<u8>,
    exchange: &str,
    key: &str,
    message_id: &str,
    seconds: u64,
    body: &[u8],
) {
    const MANDATORY: u8 = 1;
    const CONTENT_TYPE: u16 = 1 << 15;
    const DELIVERY_MODE: u16 = 1 << 12;
    const MESSAGE_ID: u16 = 1 << 7;
    const TIMESTAMP: u16 = 1 << 6;
    const PERSISTENT: u8 = 2;
    let method = Method::new(60, 40).u16(0).short(exchange).short(key);
    frame(out, METHOD, CHANNEL, &method.bits(MANDATORY).payload);
    let header = Method::new(60, 0)
        .u64(body.len() as u64)
        .u16(CONTENT_TYPE | DELIVERY_MODE | MESSAGE_ID | TIMESTAMP)
        .short("application/json")
        .bits(PERSISTENT)
        .short(message_id)
        .u64(seconds);
    frame(out, HEADER, CHANNEL, &header.payload);
    frame(out, BODY, CHANNEL, body);
}

fn frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend(payload);
    out.push(FRAME_END);
}

fn short(out: &mut Vec<u8>, text: &str) {
    let length = text.len().min(255);
    out.push(length as u8);
    out.extend(&text.as_bytes()[..length]);
}

fn long(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_be_bytes());
    out.extend(text.as_bytes());
}
