use super::*;

fn cron(json: &str) -> Cron {
    serde_json::from_str(json).unwrap()
}

fn found(text: &str) -> Found {
    Found {
        metadata: Some(Metadata {
            size: text.len() as u64,
            ..Metadata::of_root(FileKind::File, FileMode::FILE)
        }),
        text: text.as_bytes().to_vec(),
        names: 1,
    }
}

#[test]
fn writes_what_cron_reads() {
    for (json, expected) in [
        (r#"{"name":"a","job":"true"}"#, "* * * * * root true"),
        (
            r#"{"name":"a","job":"x","minute":"*/5","weekday":"mon-fri","user":"app"}"#,
            "*/5 * * * mon-fri app x",
        ),
        (
            r#"{"name":"a","job":"x","special_time":"reboot"}"#,
            "@reboot root x",
        ),
        (
            r#"{"name":"a","job":"x","hour":"3","disabled":true}"#,
            "#* 3 * * * root x",
        ),
    ] {
        let declared = cron(json);
        assert_eq!(
            (declared.validate(), declared.line().as_str()),
            (Ok(()), expected)
        );
    }
    let declared = cron(r#"{"name":"a","job":"x","env":{"PATH":"/bin","MAILTO":""}}"#);
    assert_eq!(
        declared.text(),
        "# Written by fleet, which overwrites what is changed here.\n\
         MAILTO=\"\"\nPATH=\"/bin\"\n* * * * * root x\n"
    );
}

#[test]
fn compares_job_variables_and_permissions() {
    let declared = cron(r#"{"name":"a","job":"x","hour":"3","env":{"MAILTO":"ops"}}"#);
    let line = "* 3 * * * root x";
    let plain = |drift: Vec<Drift>| -> Vec<_> {
        drift
            .into_iter()
            .map(|drift| (drift.attribute, drift.expected, drift.actual))
            .collect()
    };
    let update = |actual: &str| vec![("job".to_owned(), line.to_owned(), actual.to_owned())];
    assert_eq!(declared.drift(&found(&declared.text())), []);
    let by_hand = declared.text().replace("* 3", "* 4");
    assert_eq!(
        plain(declared.drift(&found(&by_hand))),
        update("* 4 * * * root x")
    );
    let variables = declared.text().replace("ops", "root");
    assert_eq!(
        plain(declared.drift(&found(&variables))),
        update("other variables")
    );
    let mut writable = found(&declared.text());
    writable.metadata.as_mut().unwrap().mode = "0666".parse().unwrap();
    assert_eq!(
        declared.drift(&writable),
        [Drift::update("mode", "0644", "0666")]
    );
    let mut second_name = found(&declared.text());
    second_name.names = 2;
    assert_eq!(
        declared.drift(&second_name),
        [Drift::update("hard links", "1", "2")]
    );
    let none = Found {
        metadata: None,
        text: Vec::new(),
        names: 1,
    };
    assert_eq!(declared.drift(&none)[0].change, Change::Create);
    let absent = cron(r#"{"name":"a","state":"absent"}"#);
    assert_eq!(absent.drift(&none), []);
    assert_eq!(absent.drift(&found("x")), [Drift::remove("state", "file")]);
}

#[test]
fn a_job_of_a_user_who_is_not_there_is_never_in_sync() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    let of = |more: &str| cron(&format!(r#"{{"name":"a","job":"x"{more}}}"#)).observe(&host);
    let failure = of(r#","user":"no-such-user""#).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the user `no-such-user` does not exist"
    );
    for more in ["", r#","user":"no-such-user","disabled":true"#] {
        // Without cron, its directory is what is missing.
        if let Err(failure) = of(more) {
            assert!(failure.to_string().contains("/etc/cron.d"), "{failure}");
        }
    }
}

#[test]
fn a_job_that_cron_would_cut_is_refused() {
    let of = |length: usize| {
        cron(&format!(r#"{{"name":"a","job":"{}"}}"#, "x".repeat(length))).validate()
    };
    assert_eq!(of(LONGEST_JOB), Ok(()));
    assert!(
        of(LONGEST_JOB + 1)
            .unwrap_err()
            .contains("put it into a script")
    );
}

#[test]
fn refuses_what_cron_would_not_run_or_read_otherwise() {
    for (json, expected) in [
        (r#"{"name":"a.b","job":"x"}"#, "is not the name of a job"),
        (r#"{"name":"../x","job":"x"}"#, "is not the name of a job"),
        (r#"{"name":"a"}"#, "`job` is needed"),
        (r#"{"name":"a","job":"x\ny"}"#, "is one line"),
        (
            r#"{"name":"a","job":"x","minute":"5 5"}"#,
            "`minute` is `5 5`",
        ),
        (
            r#"{"name":"a","job":"x","user":"a b"}"#,
            "is not the name of a user",
        ),
        (
            r#"{"name":"a","job":"x","user":"1000"}"#,
            "cron takes no number for one",
        ),
        (
            r#"{"name":"a","job":"x","hour":"24"}"#,
            "`hour` is `24`: not a time that cron knows: `24` is not a number from 0 to 23",
        ),
        (
            r#"{"name":"a","job":"x","minute":"99","weekday":"8"}"#,
            "\n`weekday` is `8`",
        ),
        (
            r#"{"name":"a","job":"x","day":"31","month":"feb,apr"}"#,
            "the job would never run",
        ),
        (
            r#"{"name":"a","job":"x","special_time":"noon"}"#,
            "expected one of reboot",
        ),
        (
            r#"{"name":"a","job":"x","special_time":"daily","hour":"3"}"#,
            "`special_time` and `hour` exclude each other",
        ),
        (
            r#"{"name":"a","job":"x","env":{"A":"1\n* * * * * root rm"}}"#,
            "the variable `A` cannot be written",
        ),
    ] {
        let error = cron(json).validate().unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
}
