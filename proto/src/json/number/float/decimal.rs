/// `digits * 10^exponent`, not negative; the last digit is not 0 unless all are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub digits: u64,
    pub exponent: i32,
}

impl Decimal {
    /// Strips trailing zeros.
    pub(super) fn new(mut digits: u64, mut exponent: i32) -> Self {
        while digits != 0 && digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        Self { digits, exponent }
    }

    /// The shortest digits that read back as `value`, which is finite and not negative.
    pub(super) fn shortest<F: zmij::Float>(value: F) -> Self {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value).bytes();
        let (mut digits, mut exponent, mut fraction) = (0_u64, 0, false);
        let mut text = text.into_iter();
        for byte in text.by_ref() {
            match byte {
                b'.' => fraction = true,
                b'e' => break,
                digit => {
                    digits = digits * 10 + u64::from(digit - b'0');
                    exponent -= i32::from(fraction);
                }
            }
        }
        let (mut power, mut negative) = (0, false);
        for byte in text {
            match byte {
                b'-' => negative = true,
                b'+' => {}
                digit => power = power * 10 + i32::from(digit - b'0'),
            }
        }
        Self::new(digits, exponent + if negative { -power } else { power })
    }

    /// Writes it as PostgreSQL lays floats out: with an exponent if that is below -4, or not below
    /// `limit`.
    pub(super) fn write(self, negative: bool, limit: i32, out: &mut Vec<u8>) {
        if negative {
            out.push(b'-');
        }
        if self.digits == 0 {
            return out.push(b'0');
        }
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(self.digits).as_bytes();
        // Digits before the point; at most 17, so that all of this fits.
        let point = digits.len() as i32 + self.exponent;
        let zeros = |count: i32| &[b'0'; 20][..count as usize];
        if point - 1 < -4 || point > limit {
            write_scientific(digits, point - 1, out);
        } else if point <= 0 {
            out.extend_from_slice(b"0.");
            out.extend_from_slice(zeros(-point));
            out.extend_from_slice(digits);
        } else if self.exponent >= 0 {
            out.extend_from_slice(digits);
            out.extend_from_slice(zeros(self.exponent));
        } else {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    }
}

fn write_scientific(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.unsigned_abs() < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(
        itoa::Buffer::new()
            .format(exponent.unsigned_abs())
            .as_bytes(),
    );
}
