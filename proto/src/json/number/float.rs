//! Floats in the shortest digits that read back as the same float, laid out as PostgreSQL does.
//! Source: PostgreSQL `src/common/{d2s,f2s}.c`.

mod decimal;
mod interval;

use decimal::Decimal;
use interval::Interval;

/// Writes a double precision; NaN and the infinities, which JSON lacks, as strings.
pub(in crate::json) fn write_float8(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        let decimal = Decimal::shortest(value.abs());
        let decimal = Interval::of_f64(value.abs()).map_or(decimal, |i| i.shortest_inside(decimal));
        decimal.write(value.is_sign_negative(), 15, out);
    } else {
        write_special(value, out);
    }
}

/// Writes a real, likewise.
pub(in crate::json) fn write_float4(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        let decimal = Decimal::shortest(value.abs());
        let decimal = Interval::of_f32(value.abs()).map_or(decimal, |i| i.shortest_inside(decimal));
        decimal.write(value.is_sign_negative(), 6, out);
    } else {
        write_special(value.into(), out);
    }
}

fn write_special(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match (value.is_nan(), value > 0.0) {
        (true, _) => b"\"NaN\"".as_slice(),
        (false, true) => b"\"Infinity\"",
        (false, false) => b"\"-Infinity\"",
    });
}
