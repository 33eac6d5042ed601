//! What thousands of hosts cost the controller alone: every host is answered for in this
//! process, so that nothing but the controller's own work is counted. Prints a Markdown table.
//!
//! `cargo bench --bench thousands [-- HOSTS]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program that a person starts to read what it prints"
)]

#[path = "thousands/options.rs"]
mod options;
#[path = "thousands/stages.rs"]
mod stages;
#[path = "thousands/stand_in.rs"]
mod stand_in;
#[path = "thousands/fleet.rs"]
mod written;

use stages::Stages;

fn main() {
    // cargo passes flags of its own.
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let most = numbers.next().unwrap_or(10_000);
    let counts = [most / 10, most];
    println!("A check of 50 resources on hosts that answer in the same process, 50 at once.\n");
    println!("| hosts | {} |", Stages::HEADS.join(" | "));
    println!("| ---{} |", " | ---:".repeat(Stages::HEADS.len()));
    for hosts in counts {
        println!(
            "| {hosts} | {} |",
            stages::measure(hosts).cells().join(" | ")
        );
    }
}
