//! Numbers as people and files write them. One function for all of them: in the responder every copy counts.

/// The number that these decimal digits are, leading zeros allowed; `None` for none at all, for anything
/// but digits, and for what does not fit 64 bits.
#[must_use]
#[inline(never)]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The same in the one form in which a number is written: no leading zeros.
#[must_use]
pub fn canonical(digits: &[u8]) -> Option<u64> {
    if digits.len() > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    decimal(digits)
}

/// The digits of a number without leading zeros, written to the end of `buffer`. Without the machinery of formatting,
/// which takes several times as long.
pub fn digits(number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut rest = number;
    let mut first = buffer.len();
    for slot in buffer.iter_mut().rev() {
        #[allow(clippy::cast_possible_truncation)] // less than ten
        let digit = (rest % 10) as u8;
        *slot = b'0' + digit;
        first -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    buffer.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let largest = u64::MAX.to_string();
        for (text, number) in [("0", 0), ("7", 7), ("007", 7), (&largest, u64::MAX)] {
            assert_eq!(decimal(text.as_bytes()), Some(number), "{text:?}");
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
            assert_eq!(decimal(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(canonical(b"0"), Some(0));
        assert_eq!(canonical(b"10"), Some(10));
        for bad in ["", "00", "01"] {
            assert_eq!(canonical(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn digits_are_those_of_formatting() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1]);
        for number in near.chain([7, 4096, u64::MAX - 1, u64::MAX]) {
            let expected = number.to_string();
            assert_eq!(digits(number, &mut [0; 20]), expected.as_bytes());
        }
    }
}
