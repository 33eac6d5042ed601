//! What a task registers: the outcome as templates see it, in Ansible's words.

use serde_json::{Value, json};

use crate::protocol::{Mode, Outcome, Status};

/// The value that `register` gives, or `None` if it cannot be known: check does not run what
/// changes the host, so there is no output.
pub(super) fn registered(outcome: &Outcome, mode: Mode, runs_programs: bool) -> Option<Value> {
    let not_run = mode == Mode::Check && outcome.output.is_none() && outcome.status != Status::Ok;
    if runs_programs && not_run {
        return None;
    }
    let output = outcome.output.clone().unwrap_or_default();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    Some(json!({
        "changed": outcome.status == Status::Changed || outcome.would_change(),
        "failed": outcome.status == Status::Failed,
        "skipped": outcome.status == Status::Skipped,
        "msg": outcome.message.clone().unwrap_or_default(),
        "rc": output.rc,
        "stdout": output.stdout.trim_end_matches('\n'),
        "stderr": output.stderr.trim_end_matches('\n'),
        "stdout_lines": lines(&output.stdout),
        "stderr_lines": lines(&output.stderr),
        "truncated": output.truncated,
    }))
}

/// What a task that was not done registers.
pub(super) fn skipped() -> Value {
    json!({ "changed": false, "failed": false, "skipped": true, "msg": "" })
}

/// What a task with `loop` registers.
pub(super) fn of_loop(results: &[Value]) -> Value {
    let any = |key: &str| results.iter().any(|result| result[key] == true);
    let skipped = results.iter().all(|result| result["skipped"] == true);
    json!({
        "changed": any("changed"),
        "failed": any("failed"),
        "skipped": skipped,
        "results": results,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Output;

    #[test]
    fn a_command_gives_what_it_printed() {
        let output = Output {
            rc: 3,
            stdout: "a\nb\n".to_owned(),
            ..Output::default()
        };
        let outcome = Outcome {
            status: Status::Failed,
            output: Some(output),
            ..Outcome::default()
        };
        let value = registered(&outcome, Mode::Apply, true).unwrap();
        assert_eq!(value["rc"], 3);
        assert_eq!(value["stdout"], "a\nb");
        assert_eq!(value["stdout_lines"], json!(["a", "b"]));
        assert_eq!(value["failed"], true);
        assert_eq!(value["truncated"], false);
    }

    #[test]
    fn what_check_did_not_run_is_not_known() {
        let outcome = Outcome {
            status: Status::Skipped,
            ..Outcome::default()
        };
        assert_eq!(registered(&outcome, Mode::Check, true), None);
        assert!(registered(&outcome, Mode::Check, false).is_some());
    }

    #[test]
    fn a_loop_is_skipped_only_if_every_item_was() {
        let done = json!({ "changed": true, "failed": false, "skipped": false });
        assert_eq!(of_loop(&[skipped(), done.clone()])["skipped"], false);
        assert_eq!(of_loop(&[skipped(), done])["changed"], true);
        assert_eq!(of_loop(&[skipped()])["skipped"], true);
    }
}
