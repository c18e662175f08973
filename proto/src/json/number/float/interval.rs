use super::decimal::Decimal;

/// Most decimal digits that a double precision can need; `DBL_DECIMAL_DIG`.
const MAX_DIGITS: u32 = 17;

/// The numbers that are nearer to one float than to its neighbours.
///
/// A number half-way between two floats reads back as the one with the even mantissa, and other
/// printers of shortest digits make use of that. PostgreSQL does not (`acceptBounds` is false in
/// its Ryu), since not every reader rounds so. It matters only where the half-way points are
/// integers with few enough digits: below, they have more digits than any float needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    /// The float is `mantissa * 2^exponent`.
    mantissa: u64,
    /// At least 1.
    exponent: i32,
    /// Its bounds, in units of `2^(exponent - 2)`.
    lower: u64,
    upper: u64,
}

impl Interval {
    /// `None` for floats whose half-way points cannot be short decimals.
    #[inline]
    pub(super) fn of_f64(value: f64) -> Option<Self> {
        // An odd number below 2^54 has at most 23 factors 5, so beyond 10^17 * 10^23 no half-way
        // point ends in zeros enough.
        if !(9_007_199_254_740_992.0..1e40).contains(&value) {
            return None;
        }
        let bits = value.to_bits();
        Some(Self::new(
            bits & ((1 << 52) - 1),
            1 << 52,
            (bits >> 52) as i32 - 1075,
        ))
    }

    /// Likewise.
    #[inline]
    pub(super) fn of_f32(value: f32) -> Option<Self> {
        // Likewise with 2^25, 10 factors 5 and 9 digits.
        if !(16_777_216.0..1e20).contains(&value) {
            return None;
        }
        let bits = value.to_bits();
        Some(Self::new(
            (bits & ((1 << 23) - 1)).into(),
            1 << 23,
            (bits >> 23) as i32 - 150,
        ))
    }

    fn new(fraction: u64, hidden: u64, exponent: i32) -> Self {
        let mantissa = hidden | fraction;
        // Floats below a power of two lie twice as close.
        let below = if fraction == 0 { 1 } else { 2 };
        Self {
            mantissa,
            exponent,
            lower: 4 * mantissa - below,
            upper: 4 * mantissa + 2,
        }
    }

    /// The shortest decimal inside the interval, bounds excluded; `shortest` is the one with bounds
    /// included.
    pub(super) fn shortest_inside(self, shortest: Decimal) -> Decimal {
        if self.contains(shortest) {
            shortest
        } else {
            self.search(shortest)
        }
    }

    fn contains(self, decimal: Decimal) -> bool {
        // Both sides in integers: an integer float has a shortest decimal without a fraction.
        let Ok(power) = u32::try_from(decimal.exponent) else {
            return true;
        };
        let (twos, unit) = (decimal.exponent, self.exponent - 2);
        let common = twos.min(unit);
        let scaled = (u128::from(decimal.digits) * 5_u128.pow(power)) << (twos - common);
        let bound = |bound: u64| u128::from(bound) << (unit - common);
        bound(self.lower) < scaled && scaled < bound(self.upper)
    }

    /// Tries ever more digits, the nearer of the two neighbours first.
    #[cold]
    fn search(self, shortest: Decimal) -> Decimal {
        let length = shortest.digits.ilog10() + 1;
        for dropped in (0..=MAX_DIGITS - length).map(|more| shortest.exponent - more as i32) {
            let Ok(power) = u32::try_from(dropped) else {
                break;
            };
            let fives = 5_u128.pow(power);
            let twos = self.exponent - dropped;
            let (value, unit) = if twos >= 0 {
                (u128::from(self.mantissa) << twos, fives)
            } else {
                (self.mantissa.into(), fives << -twos)
            };
            let (below, rest) = ((value / unit) as u64, value % unit);
            let nearer = below + u64::from(rest * 2 > unit);
            let farther = 2 * below + 1 - nearer;
            for digits in [nearer, farther] {
                let decimal = Decimal::new(digits, dropped);
                if self.contains(decimal) {
                    return decimal;
                }
            }
        }
        shortest
    }
}
