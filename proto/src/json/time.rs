//! Dates and times as PostgreSQL's `to_json` prints them under `TimeZone=UTC`. Source:
//! `JsonEncodeDateTime` and `EncodeDateTime` in `src/backend/utils/adt/{json,datetime}.c`.

use super::number::{write_integer, write_padded};

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Days from 1970-01-01 to the PostgreSQL epoch, 2000-01-01.
const EPOCH_UNIX_DAYS: i64 = 10_957;

/// What follows the seconds of a timestamp.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// Nothing: timestamp without time zone.
    None,
    /// `+00:00`: timestamp with time zone.
    Utc,
}

/// A date in days since 2000-01-01. What is no date of PostgreSQL's is shown as its number.
pub(super) fn write_date(days: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    match i32::try_from(days) {
        Ok(i32::MIN) => out.extend_from_slice(b"-infinity"),
        Ok(i32::MAX) => out.extend_from_slice(b"infinity"),
        Ok(days) => {
            let era = write_day(days.into(), out);
            out.extend_from_slice(era);
        }
        Err(_) => write_integer(days, out),
    }
    out.push(b'"');
}

/// A timestamp in microseconds since 2000-01-01 00:00.
pub(super) fn write_timestamp(micros: i64, zone: Zone, out: &mut Vec<u8>) {
    out.push(b'"');
    match micros {
        i64::MIN => out.extend_from_slice(b"-infinity"),
        i64::MAX => out.extend_from_slice(b"infinity"),
        _ => {
            let era = write_day(micros.div_euclid(MICROS_PER_DAY), out);
            out.push(b'T');
            write_clock(micros.rem_euclid(MICROS_PER_DAY), out);
            if zone == Zone::Utc {
                out.extend_from_slice(b"+00:00");
            }
            out.extend_from_slice(era);
        }
    }
    out.push(b'"');
}

/// A moment as a JSON string, ISO 8601 in UTC; in microseconds since 2000-01-01 00:00 UTC.
pub fn moment_json(micros: i64) -> String {
    let mut out = Vec::new();
    write_timestamp(micros, Zone::Utc, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A time of day in microseconds since midnight, 24:00:00 included. What is none is shown as its
/// number.
pub(super) fn write_time(micros: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    match micros {
        0..=MICROS_PER_DAY => write_clock(micros, out),
        _ => write_integer(micros, out),
    }
    out.push(b'"');
}

/// Writes `YYYY-MM-DD` and returns what has to follow at the end: ` BC` or nothing.
fn write_day(days: i64, out: &mut Vec<u8>) -> &'static [u8] {
    let (year, month, day) = civil(days + EPOCH_UNIX_DAYS);
    // Year 0 of the astronomers is 1 BC.
    let (shown, era): (i64, &[u8]) = if year > 0 {
        (year, b"")
    } else {
        (1 - year, b" BC")
    };
    write_padded(shown as u64, 4, out);
    out.push(b'-');
    write_padded(month, 2, out);
    out.push(b'-');
    write_padded(day, 2, out);
    era
}

/// Writes `HH:MM:SS` and the microseconds, if any, without trailing zeros.
fn write_clock(micros: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (micros as u64 / 1_000_000, micros as u64 % 1_000_000);
    write_padded(seconds / 3600, 2, out);
    out.push(b':');
    write_padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    write_padded(seconds % 60, 2, out);
    if fraction != 0 {
        out.push(b'.');
        write_padded(fraction, 6, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Year, month and day of a day since 1970-01-01 in the proleptic Gregorian calendar. Source:
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(unix_days: i64) -> (i64, u64, u64) {
    // Eras of 400 years from 0000-03-01 on, so that the leap day ends a year.
    let days = unix_days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u64, day as u64)
}
