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

    /// Runs a command as root; it must succeed, every line of it.
    #[track_caller]
    pub(super) fn run(&mut self, command: &str) {
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
                assert_eq!(status, "0\n", "`{command}`\n{said}");
                return;
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
