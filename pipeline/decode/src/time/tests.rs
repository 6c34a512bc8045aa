use chrono::DateTime;

use super::*;

/// The moment of most of the tests.
const MOMENT: &str = "2023-11-14T22:13:20Z";

fn millis(rfc_3339: &str) -> i64 {
    DateTime::parse_from_rfc3339(rfc_3339).unwrap().timestamp_millis()
}

fn shown(result: Result<Moment, Flaw>) -> String {
    match result {
        Ok(moment) => DateTime::from_timestamp_millis(moment.millis).unwrap().to_rfc3339(),
        Err(flaw) => flaw.name().to_owned(),
    }
}

fn read(text: &str) -> Result<Moment, Flaw> {
    parse_text(text, &DateRules::default())
}

fn assert_reads(text: &str, wanted: &str) {
    let result = read(text);
    assert_eq!(
        result.map(|moment| moment.millis),
        Ok(millis(wanted)),
        "{text:?} is read as {}",
        shown(result)
    );
}

#[test]
fn every_notation_of_one_moment_gives_the_same_time() {
    for text in [
        // ISO 8601 and RFC 3339.
        "2023-11-14T22:13:20Z",
        "2023-11-14t22:13:20z",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20",
        "2023-11-14  22:13:20 UTC",
        "2023-11-15T06:13:20+08:00",
        "2023-11-15T06:13:20+0800",
        "2023-11-15T06:13:20+08",
        "2023-11-15 06:13:20 +0800",
        "2023-11-15 06:13:20 +08:00",
        "2023-11-15 06:13:20 GMT+8",
        "2023-11-15 06:13:20 UTC+08:00",
        "2023-11-14T17:13:20-05:00",
        "2023-11-15T03:43:20+05:30",
        "2023-11-14T22:13:20.000Z",
        "2023-11-14T22:13:20,000Z",
        "2023-11-14T22:13:20.000000000Z",
        "2023-11-14T22:13:20Z[UTC]",
        "2023-11-15T06:13:20+08:00[Asia/Shanghai]",
        "20231114T221320Z",
        "20231115T061320+0800",
        "20231114T221320.000Z",
        "20231114 22:13:20",
        // Go prints the abbreviation behind the offset, which counts.
        "2023-11-15 06:13:20 +0800 CST",
        // Digits alone.
        "20231114221320",
        // Slashes and dots.
        "2023/11/14 22:13:20",
        "2023.11.14 22:13:20",
        "14.11.2023 22:13:20",
        "14/11/2023 22:13:20",
        "11/14/2023 22:13:20",
        "11/14/2023, 10:13:20 PM",
        "14-11-2023 22:13:20",
        // Mail, feeds, servers.
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tue, 14 Nov 2023 22:13:20 UTC",
        "Tue, 14 Nov 2023 22:13:20 UT",
        "Tue, 14 Nov 2023 22:13:20 Z",
        "Tue, 14 Nov 2023 22:13:20 +0000",
        "Tue, 14 Nov 2023 17:13:20 EST",
        "Tue, 14 Nov 2023 16:13:20 CST",
        "Wed, 15 Nov 2023 06:13:20 +0800",
        "Wed, 15 Nov 2023 07:13:20 JST",
        "14 Nov 2023 22:13:20 GMT",
        "14 Nov 23 22:13:20 GMT",
        // The day of the week is wrong.
        "Mon, 14 Nov 2023 22:13:20 GMT",
        "Tuesday, 14-Nov-23 22:13:20 GMT",
        "Tuesday, 14 November 2023 22:13:20 +0000",
        "14/Nov/2023:22:13:20 +0000",
        // asctime and what languages print.
        "Tue Nov 14 22:13:20 2023",
        "Tue Nov 14 22:13:20 +0000 2023",
        "Tue Nov 14 22:13:20 UTC 2023",
        "Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated Universal Time)",
        "Wed Nov 15 2023 06:13:20 GMT+0800 (中国标准时间)",
        // English.
        "November 14, 2023 22:13:20",
        "Nov. 14, 2023, 10:13:20 p.m.",
        "14th of November 2023 at 22:13:20",
        "Tuesday, November 14, 2023 10:13:20 PM",
        // Chinese.
        "2023年11月14日 22:13:20",
        "2023年11月14日22时13分20秒",
        "2023年11月14日 下午10:13:20",
        "2023年11月14日 晚上10点13分20秒",
        "2023年11月14日星期二 22:13:20",
        "2023年11月14日（周二）22:13:20",
        "２０２３年１１月１４日 ２２：１３：２０",
        "2023年11月15日 06:13:20 北京时间",
        // Numbers as text.
        "1700000000",
        "1700000000000",
        "1700000000000000",
        "1700000000000000000",
        "1700000000.0",
        "1.7e9",
    ] {
        assert_reads(text, MOMENT);
    }
}

#[test]
fn what_a_notation_leaves_out_is_the_beginning() {
    for (text, wanted) in [
        ("2023-11-14", "2023-11-14T00:00:00Z"),
        ("2023/11/14", "2023-11-14T00:00:00Z"),
        ("20231114", "2023-11-14T00:00:00Z"),
        ("2023年11月14日", "2023-11-14T00:00:00Z"),
        ("November 14, 2023", "2023-11-14T00:00:00Z"),
        ("14 November 2023", "2023-11-14T00:00:00Z"),
        ("25/12/2023", "2023-12-25T00:00:00Z"),
        ("12/25/2023", "2023-12-25T00:00:00Z"),
        ("05/05/2023", "2023-05-05T00:00:00Z"),
        ("03.04.2023", "2023-04-03T00:00:00Z"),
        ("2023-11-14+08:00", "2023-11-13T16:00:00Z"),
        ("2023-1-5 8:05", "2023-01-05T08:05:00Z"),
        ("2023-11-15T06:13+08:00", "2023-11-14T22:13:00Z"),
        ("202311142213", "2023-11-14T22:13:00Z"),
        ("2023年11月14日 22:13", "2023-11-14T22:13:00Z"),
        ("2023年11月14日 22时", "2023-11-14T22:00:00Z"),
        ("2023年11月14日 下午3点半", "2023-11-14T15:30:00Z"),
        ("2023年11月12日 星期日 08:30", "2023-11-12T08:30:00Z"),
        ("Nov 14, 2023 at 10:13 pm", "2023-11-14T22:13:00Z"),
        ("Nov 14, 2023 12 am", "2023-11-14T00:00:00Z"),
        ("2023-11-14T22:13:20.25Z", "2023-11-14T22:13:20.250Z"),
        ("1700000000.25", "2023-11-14T22:13:20.250Z"),
        ("1700000000250", "2023-11-14T22:13:20.250Z"),
        ("1999-12-31 23:59:60Z", "1999-12-31T23:59:59Z"),
        ("14 Nov 99 22:13:20 GMT", "1999-11-14T22:13:20Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("1900-01-01", "1900-01-01T00:00:00Z"),
    ] {
        assert_reads(text, wanted);
        assert!(!read(text).unwrap().is_month, "{text}");
    }
    for text in ["2023年11月", "2023-11", "November 2023"] {
        assert_eq!(
            read(text),
            Ok(Moment { millis: millis("2023-11-01T00:00:00Z"), is_month: true }),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_date_gives_no_time() {
    for text in [
        "last Tuesday",
        "今天 08:30",
        "3小时前",
        "2 hours ago",
        "11月14日 08:30",
        "03-21 15:07",
        "08:30",
        "23-11-14",
        "14/11/23",
        "2023-02-30",
        "2023-13-01",
        "31/02/2023",
        "0000-00-00",
        "0000-00-00 00:00:00",
        "2023-11-14 25:00",
        "2023-11-14 22:61",
        "2023-11-14 13:00 am",
        "2023年11月14日 晚上12点",
        "2023-11-14-05:00",
        "2023-11-14T22:13:20+25:00",
        "2023-11-14T22:13:20+08:75",
        "2023-11-14 22:13:20 XYZ",
        "2023-11-14 2023-11-15",
        "2023",
        "2023.11",
        "0",
        "-1",
        "45244",
        "1e400",
        "inf",
        "NaN",
        "N/A",
        "-",
        "",
        "99999999999999999999999999",
        "2023-11-14T",
        "Tue, 14 Nov",
        "Nov",
        "周二",
    ] {
        let result = read(text);
        assert_eq!(result, Err(Flaw::Unreadable), "{text:?} is read as {}", shown(result));
    }
}

#[test]
fn what_could_mean_two_moments_gives_none_until_it_is_said() {
    for text in ["03/04/2023", "03-04-2023 10:00", "Wed Nov 15 06:13:20 CST 2023", "2023-11-14 22:13:20 IST"]
    {
        assert_eq!(read(text), Err(Flaw::Ambiguous), "{text}");
    }
    let ordered = |order| DateRules { order, ..DateRules::default() };
    let day_first = parse_text("03/04/2023", &ordered(DateOrder::DayFirst)).unwrap();
    assert_eq!(day_first.millis, millis("2023-04-03T00:00:00Z"));
    let month_first = parse_text("03/04/2023", &ordered(DateOrder::MonthFirst)).unwrap();
    assert_eq!(month_first.millis, millis("2023-03-04T00:00:00Z"));
    for zone in ["Asia/Shanghai", "+08:00"] {
        let rules = DateRules { timezone: zone.parse().unwrap(), ..DateRules::default() };
        let java = parse_text("Wed Nov 15 06:13:20 CST 2023", &rules).unwrap();
        assert_eq!(java.millis, millis(MOMENT), "{zone}");
    }
}

#[test]
fn times_without_a_zone_are_in_the_one_that_is_configured() {
    let local = |zone: &str, text: &str| {
        let rules = DateRules { timezone: zone.parse().unwrap(), ..DateRules::default() };
        parse_text(text, &rules).unwrap().millis
    };
    assert_eq!(local("+08:00", "2023-11-15 06:13:20"), millis(MOMENT));
    assert_eq!(local("asia/shanghai", "20231115061320"), millis(MOMENT));
    assert_eq!(local("America/New_York", "2023-11-14 17:13:20"), millis(MOMENT));
    assert_eq!(local("America/New_York", "2023-07-14 18:13:20"), millis("2023-07-14T22:13:20Z"));
    // Clocks go from 02:00 to 03:00 here, and from 02:00 back to 01:00 there.
    assert_eq!(local("America/New_York", "2023-03-12 02:30:00"), millis("2023-03-12T07:30:00Z"));
    assert_eq!(local("America/New_York", "2023-11-05 01:30:00"), millis("2023-11-05T05:30:00Z"));
    assert_eq!(local("+08:00", "2023-11-14T22:13:20Z"), millis(MOMENT), "its own zone counts");
}

#[test]
fn zones_are_written_as_they_are_read() {
    for (text, shown) in [
        ("utc", "UTC"),
        ("+00:00", "UTC"),
        ("+08:00", "+08:00"),
        ("-03:30", "-03:30"),
        ("europe/berlin", "Europe/Berlin"),
    ] {
        assert_eq!(text.parse::<Zone>().unwrap().to_string(), shown);
    }
    for wrong in ["+25:00", "Mars/Olympus", "8", ""] {
        assert!(wrong.parse::<Zone>().unwrap_err().contains("no time zone"), "{wrong}");
    }
}

#[test]
fn numbers_are_dates_or_times_since_1970_by_their_size() {
    let read = |number| parse_number(number, &DateRules::default()).map(|moment| moment.millis);
    for number in [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000, 1_700_000_000_000_000_000] {
        assert_eq!(read(number), Ok(millis(MOMENT)), "{number}");
    }
    assert_eq!(read(20_231_114), Ok(millis("2023-11-14T00:00:00Z")));
    assert_eq!(read(20_231_114_221_320), Ok(millis(MOMENT)));
    assert_eq!(read(-1_000_000_000), Ok(-1_000_000_000_000), "before 1970");
    // 99 is no month, so these are milliseconds.
    assert_eq!(read(202_399_142_213), Ok(202_399_142_213));
    for number in [0, -1, 2023, 45_244, 20_231_332] {
        assert_eq!(read(number), Err(Flaw::Unreadable), "{number}");
    }
    assert!(read(i64::MIN).is_ok() && read(i64::MAX).is_ok());
    let seconds = |number| parse_seconds(number, &DateRules::default()).map(|moment| moment.millis);
    assert_eq!(seconds(1_700_000_000.25), Ok(millis(MOMENT) + 250));
    assert_eq!(seconds(1_700_000_000_250.0), Ok(millis(MOMENT) + 250));
    for number in [f64::NAN, f64::INFINITY, 1e300, 0.5] {
        assert_eq!(seconds(number), Err(Flaw::Unreadable), "{number}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_gives_a_time_within_the_calendar_or_a_flaw(text in "\\PC{0,60}") {
        if let Ok(moment) = read(&text) {
            let years = millis("0001-01-01T00:00:00Z")..=millis("9999-12-31T23:59:59.999Z");
            proptest::prop_assert!(years.contains(&moment.millis), "{text:?}");
        }
    }

    #[test]
    fn what_looks_like_a_date_never_panics(text in "[0-9年月日时分秒T:/. +apm,Zz-]{0,40}") {
        let _ = read(&text);
    }

    #[test]
    fn every_rfc_3339_time_is_read_as_it_is_meant(seconds in -62_135_596_800_i64..253_402_300_800) {
        let time = DateTime::from_timestamp(seconds, 0).unwrap();
        for text in [time.to_rfc3339(), time.format("%Y-%m-%d %H:%M:%S").to_string(), time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()] {
            proptest::prop_assert_eq!(read(&text).map(|moment| moment.millis), Ok(seconds * 1000), "{}", text);
        }
    }
}
