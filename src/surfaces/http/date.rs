//! Stamps as dates: in headers as HTTP writes them, in JSON as RFC 3339 does.

use std::time::{Duration, SystemTime};

use actix_web::http::header::{HeaderValue, HttpDate, TryIntoHeaderValue as _};
use henge_kernel::causality::Stamp;

const DAY_MS: u64 = 86_400_000;
/// The last millisecond of the year 9999. Stamps are only as sane as clocks and can lie behind
/// it, where neither format has a date.
const LAST_MS: u64 = 253_402_300_799_999;

/// For `Last-Modified`; `None` behind the year 9999.
pub fn http_date(stamp: Stamp) -> Option<HeaderValue> {
    let since_epoch = Duration::from_millis(Some(stamp.0).filter(|ms| *ms <= LAST_MS)?);
    HttpDate::from(SystemTime::UNIX_EPOCH + since_epoch).try_into_value().ok()
}

/// For JSON, in milliseconds and UTC; `None` behind the year 9999.
pub fn rfc3339(stamp: Stamp) -> Option<String> {
    let ms = Some(stamp.0).filter(|ms| *ms <= LAST_MS)?;
    let (year, month, day) = civil_date(ms / DAY_MS);
    let (hour, minute) = (ms / 3_600_000 % 24, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"))
}

/// Year, month and day of the day that is `days` after 1970-01-01; Howard Hinnant's
/// `civil_from_days`, for days that are not negative. Years begin in March, so that the leap day
/// is their last.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates_up_to_the_year_9999() {
        let text = |ms| rfc3339(Stamp(ms)).unwrap();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_825_599_999), "2000-02-29T11:59:59.999Z");
        assert_eq!(text(1_714_000_000_001), "2024-04-24T23:06:40.001Z");
        assert_eq!(text(LAST_MS), "9999-12-31T23:59:59.999Z");
        assert_eq!(http_date(Stamp(784_198_117_000)).unwrap(), "Mon, 07 Nov 1994 08:48:37 GMT");
        assert!(http_date(Stamp(LAST_MS)).is_some());
        assert!(http_date(Stamp(LAST_MS + 1)).is_none() && rfc3339(Stamp(u64::MAX)).is_none());
    }
}
