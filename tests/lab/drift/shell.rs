//! One shell on the machine for a whole story: a connection per command is what takes long there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::machine::Machine;

pub(super) struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    const END: &str = "--- end of the command, status ";

    pub(super) fn open(machine: &Machine) -> Self {
        let mut child = machine
            .shell()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Runs a command as root.
    ///
    /// # Errors
    /// What it said, if it did not succeed, every line of it.
    #[track_caller]
    pub(super) fn run(&mut self, command: &str) -> Result<(), String> {
        let (end, quoted) = (Self::END, shlex::try_quote(command).unwrap());
        writeln!(
            self.input,
            "bash -ec {quoted} </dev/null 2>&1; printf '\\n%s%s\\n' '{end}' $?"
        )
        .unwrap();
        let mut said = String::new();
        loop {
            let begin = said.len();
            let read = self.output.read_line(&mut said).unwrap();
            assert_ne!(read, 0, "the shell ended\n`{command}`\n{said}");
            if let Some(status) = said[begin..].strip_prefix(end) {
                return match status {
                    "0\n" => Ok(()),
                    _ => Err(format!("`{command}` ended with {status}{}", &said[..begin])),
                };
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It ends with the connection.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
