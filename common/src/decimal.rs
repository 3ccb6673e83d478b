//! Decimal numbers in ASCII. Both programs use these functions, because every copy makes the responder larger.

/// Parses decimal digits; leading zeros are allowed.
///
/// Returns `None` if `digits` is empty, contains a byte that is not a digit, or does not fit into 64 bits.
#[must_use]
#[inline(never)]
pub fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Parses decimal digits without leading zeros, the only form that [`format_decimal`] writes.
///
/// Returns `None` for leading zeros, and where [`parse_decimal`] does.
#[must_use]
pub fn parse_canonical(digits: &[u8]) -> Option<u64> {
    if digits.len() > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    parse_decimal(digits)
}

/// Writes `number` without leading zeros to the end of `buffer`, and returns these 1 to 20 digits.
///
/// `core::fmt` takes several times as long.
pub fn format_decimal(number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut remaining = number;
    let mut first = buffer.len();
    for slot in buffer.iter_mut().rev() {
        #[allow(clippy::cast_possible_truncation)] // less than 10
        let digit = (remaining % 10) as u8;
        *slot = b'0' + digit;
        first -= 1;
        remaining /= 10;
        if remaining == 0 {
            break;
        }
    }
    buffer.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_parsed_and_other_text_is_rejected() {
        let largest = u64::MAX.to_string();
        for (text, number) in [("0", 0), ("7", 7), ("007", 7), (&largest, u64::MAX)] {
            assert_eq!(parse_decimal(text.as_bytes()), Some(number), "{text:?}");
        }
        for bad in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "x",
            "18446744073709551616",
        ] {
            assert_eq!(parse_decimal(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_canonical(b"0"), Some(0));
        assert_eq!(parse_canonical(b"10"), Some(10));
        for bad in ["", "00", "01"] {
            assert_eq!(parse_canonical(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn formatted_number_equals_that_of_fmt() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1]);
        for number in near.chain([7, 4096, u64::MAX - 1, u64::MAX]) {
            let expected = number.to_string();
            assert_eq!(format_decimal(number, &mut [0; 20]), expected.as_bytes());
        }
    }
}
