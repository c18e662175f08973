//! Types of columns, and SQL literals of their values.

use fastrand::Rng;

/// A type with a way to make values.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    /// In SQL.
    pub name: &'static str,
    make: fn(&mut Rng) -> String,
}

impl Type {
    /// Any of them.
    pub fn any(rng: &mut Rng) -> Self {
        TYPES[rng.usize(..TYPES.len())]
    }

    /// The type with this SQL name; `text` for one that the campaign did not make.
    pub fn named(name: &str) -> Self {
        let known = TYPES.iter().find(|known| known.name == name);
        *known.unwrap_or(&TYPES[0])
    }

    /// An SQL expression of the type; NULL one time in five.
    pub fn value(self, rng: &mut Rng) -> String {
        if rng.u8(..5) == 0 {
            return "NULL".to_owned();
        }
        format!("{}::{}", (self.make)(rng), self.name)
    }
}

/// All types; the names are those of `format_type`.
const TYPES: &[Type] = &[
    Type {
        name: "text",
        make: text,
    },
    Type {
        name: "integer",
        make: |r| quoted(&r.i32(..).to_string()),
    },
    Type {
        name: "bigint",
        make: |r| quoted(&r.i64(..).to_string()),
    },
    Type {
        name: "smallint",
        make: |r| quoted(&r.i16(..).to_string()),
    },
    Type {
        name: "boolean",
        make: |r| quoted(if r.bool() { "t" } else { "f" }),
    },
    Type {
        name: "numeric",
        make: numeric,
    },
    Type {
        name: "double precision",
        make: float,
    },
    Type {
        name: "real",
        make: |r| quoted(&f32::from_bits(r.u32(..)).to_string()),
    },
    Type {
        name: "date",
        make: |r| format!("('2000-01-01'::date + {})", r.i32(-700_000..2_000_000)),
    },
    Type {
        name: "time without time zone",
        make: |r| {
            format!(
                "('00:00'::time + {} * interval '1 us')",
                r.i64(0..86_400_000_000)
            )
        },
    },
    Type {
        name: "timestamp without time zone",
        make: |r| {
            format!(
                "('2000-01-01'::timestamp + {} * interval '1 us')",
                r.i64(-210_000_000_000_000_000..900_000_000_000_000_000)
            )
        },
    },
    Type {
        name: "timestamp with time zone",
        make: |r| {
            format!(
                "('2000-01-01 00:00+00'::timestamptz + {} * interval '1 us')",
                r.i64(-60_000_000_000_000_000..200_000_000_000_000_000)
            )
        },
    },
    Type {
        name: "interval",
        make: |r| {
            quoted(&format!(
                "{} mons {} days {} us",
                r.i16(..),
                r.i16(..),
                r.i64(-99_999_999_999..99_999_999_999)
            ))
        },
    },
    Type {
        name: "uuid",
        make: |r| quoted(&format!("{:032x}", r.u128(..))),
    },
    Type {
        name: "bytea",
        make: |r| quoted(&format!("\\x{}", hex(r))),
    },
    Type {
        name: "jsonb",
        make: json,
    },
    Type {
        name: "json",
        make: json,
    },
    Type {
        name: "character(7)",
        make: |r| quoted(&"ab c".repeat(2)[..r.usize(0..7)]),
    },
    Type {
        name: "character varying(40)",
        make: |r| {
            quoted(
                &"é€😀\"\\"
                    .repeat(3)
                    .chars()
                    .take(r.usize(0..15))
                    .collect::<String>(),
            )
        },
    },
    Type {
        name: "integer[]",
        make: |r| quoted(["{}", "{1,NULL,-3}", "{{1,2},{3,4}}"][r.usize(..3)]),
    },
    Type {
        name: "text[]",
        make: |r| quoted(["{}", "{a,\"b\\\"\",NULL,\"c,d\"}", "{\"\"}"][r.usize(..3)]),
    },
    Type {
        name: "numeric[]",
        make: |r| quoted(["{1.0,1.00}", "{NaN,12345678901234567890.5}"][r.usize(..2)]),
    },
    Type {
        name: "timestamp with time zone[]",
        make: |_| quoted("{infinity,\"2020-02-02 02:02:02+02\"}"),
    },
    Type {
        name: "int4range",
        make: |r| quoted(&format!("[{},{})", r.i16(-9..0), r.i16(0..9))),
    },
    Type {
        name: "inet",
        make: |r| quoted(&format!("10.0.{}.{}", r.u8(..), r.u8(..))),
    },
    Type {
        name: "money",
        make: |r| quoted(&format!("{}.5", r.i16(..))),
    },
    Type {
        name: "bit varying(20)",
        make: |r| format!("B'{:b}'", r.u16(..)),
    },
    Type {
        name: "point",
        make: |r| quoted(&format!("({},{})", r.i16(..), r.i16(..))),
    },
    Type {
        name: "mood",
        make: |r| quoted(["happy", "sad \"x\""][r.usize(..2)]),
    },
    Type {
        name: "pair",
        make: |r| format!("ROW({},'a\"b','2020-01-01 00:00+03')", r.i16(..)),
    },
    Type {
        name: "positive",
        make: |r| quoted(&r.u16(1..).to_string()),
    },
];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Short, odd, or so long that it is compressed or stored outside of the row.
fn text(rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0 => "''".to_owned(),
        1 => "E'quote\" back\\\\slash \\x01\\t\\n é€😀'".to_owned(),
        2 => format!("repeat('long ', {})", rng.u16(500..20_000)),
        3 => format!(
            "(SELECT string_agg(md5((i * {})::text), '') FROM generate_series(1, {}) i)",
            rng.u32(..) % 99_991 + 1,
            rng.u16(80..800)
        ),
        _ => quoted(&rng.u64(..).to_string()),
    }
}

fn numeric(rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0 => quoted("NaN"),
        1 => format!("repeat('9', {})", rng.u16(1..400)),
        2 => format!("('0.' || repeat('0', {}) || '1')", rng.u8(1..)),
        _ => quoted(&format!(
            "{}.{:0width$}",
            rng.i32(..),
            rng.u8(..100),
            width = rng.usize(2..6)
        )),
    }
}

fn float(rng: &mut Rng) -> String {
    match rng.u8(..4) {
        0 => quoted(
            [
                "NaN",
                "Infinity",
                "-Infinity",
                "-0",
                "1e15",
                "1e-5",
                "9007199254740993",
            ][rng.usize(..7)],
        ),
        1 => quoted(&format!("{}", f64::from(rng.i32(..)) / 100.0)),
        _ => quoted(&format!("{:e}", f64::from_bits(rng.u64(..))).replace("inf", "Infinity")),
    }
}

fn hex(rng: &mut Rng) -> String {
    (0..rng.usize(..40))
        .map(|_| format!("{:02x}", rng.u8(..)))
        .collect()
}

/// Not the JSON `null`: row_to_json shows it like an SQL NULL, so the oracle cannot tell them
/// apart.
fn json(rng: &mut Rng) -> String {
    let values = [
        r#"{"a": 1.10, "b": [null, true, "é\u0001"]}"#,
        "[]",
        r#""s""#,
        "-1.5e+10",
    ];
    match rng.u8(..7) {
        0 => format!(
            "(SELECT json_agg(md5((i * {})::text)) FROM generate_series(1, 200) i)",
            rng.u16(1..)
        ),
        n => quoted(values[usize::from(n) % values.len()]),
    }
}
