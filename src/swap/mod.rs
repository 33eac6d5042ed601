//! Blue and green: traffic is moved from one pool of hosts to the other, on every load balancer,
//! and can be taken back. Or the hosts of one pool are replaced in turn, while the others serve.
//!
//! ```text
//! fleet swap swap.yml --to green       gate, deploy, health, ready, drain, maint, live address
//! fleet swap swap.yml --revert         back to the pool that served before; no gate, no deploy
//! fleet swap swap.yml --to green --plan     what that would do, step by step
//! fleet swap swap.yml --status         which pool serves, on every load balancer
//! fleet swap replace.yml               drain, maint, deploy, gate, health, ready: batch by batch
//! ```
//!
//! `tests/swap/example/swap.yml` has every field of the file, and `replace.yml` beside it those of
//! replacing.
//!
//! # What happens
//!
//! One pure function, [`plan::next_step`], is asked again after every look at all load balancers:
//!
//! 1. a target pool that serves beside the other one is drained and taken out first;
//! 2. **gate** (check) and **deploy** (apply) on the idle target pool;
//! 3. **health** of each of its servers;
//! 4. its servers `ready` on every load balancer, read back, called up by HAProxy, and so for
//!    `min_healthy_time`;
//! 5. the other pool: `drain`, until there are neither sessions nor a queue, then `maint`;
//! 6. health of the live address.
//!
//! What is done is thus never told from a saved position but from what the load balancers say: a
//! swap that was killed, a reload that forgot everything and a plain beginning are one case.
//!
//! # What happens where hosts are replaced
//!
//! `replace/plan.rs` decides, of the same parts. A batch of hosts is drained on every load balancer
//! and put into **maint** when it has neither sessions nor a queue; then **deploy** (apply), **gate**
//! (check), **health**, `ready`, called up by HAProxy, and so for `min_healthy_time`; then the next.
//!
//! - The journal says which hosts are done, and which are suspect: begun, and not proven since. A
//!   suspect host is never put into service, by whichever call.
//! - What fails before the deployment goes back into service; what fails later stays out. Either
//!   way no further batch is begun, and the next call goes on with what is not done. `--anew` begins
//!   with all hosts, and so does a call after one that came to its end.
//! - A host that is out of service and not by fleet, held or declared `disabled`, is left as it is.
//!   Such hosts count as missing; if there are any at the end, the exit code is 2.
//! - Suspect hosts come first, then those that are down: what serves is touched last.
//!
//! # What always holds
//!
//! - No step takes a server out of service if fewer than the floor would be left in any backend of
//!   any load balancer: the size of the larger pool less `max_unavailable`, and never less than
//!   one. HAProxy is asked again in the same conversation that takes them out: a reload between
//!   look and step cannot make it wrong. What is taken back leaves as many as the pool has that
//!   served, held ones aside, if that is less than the floor.
//! - In service is what is neither in maintenance nor draining, has a weight, and is up.
//! - What was taken out by hand (forced `maint` or `drain` that is not in the journal) stays out and
//!   is told. What the configuration declares `disabled` is idle, not held. `--adopt` takes what is
//!   held in the named pools for fleet's.
//! - After each change, HAProxy's server states are written to `server_state_file`, so that a reload
//!   keeps them.
//! - Any failure takes the traffic back (`auto_revert`). What could not be taken back is said, and
//!   the next call, `--to` or `--revert`, resolves it.
//!
//! # Journal and lock
//!
//! `.fleet/swap/SERVICE/journal.json` of the project: what is under way and what fleet itself took out
//! of service; written, synced and renamed before each step. `lock` beside it is locked for the time
//! of a swap, and so is the runtime socket on each load balancer, by the helper.
//! Each step is announced on stderr as `[n] what`, after it is in the journal and before it is
//! done.
//!
//! # Exit codes
//!
//! | code | |
//! |---|---|
//! | 0 | swapped, replaced, or nothing was left to do; `--status`, `--plan`: nothing is left to do |
//! | 1 | command line, file or inventory is wrong, or the load balancers contradict the file: nothing was touched |
//! | 2 | not swapped, or not every host replaced: refused, taken back, or stopped half way (the report says which); `--plan`: there is something to do; `--status`: an interrupted swap, or load balancers that disagree |
//! | 4 | a load balancer was unreachable: before the beginning (nothing was touched) or later |
//! | 5 | another swap of this service is running |
//! | 130 | interrupted; traffic was taken back, unless said otherwise; hosts that were not begun are back in service |
//!
//! # `--format json`
//!
//! ```text
//! { "schema_version": 1, "run_id", "command": "swap", "action": "to" | "revert" | "replace" | "plan" | "status",
//!   "service", "file", "from", "to", "started_at", "duration_ms", "exit_code",
//!   "result": "swapped" | "unchanged" | "reverted" | "replaced" | "incomplete" | "stopped" | "refused" | "planned" | "settled" | "unsettled",
//!   "serving": ["green"],
//!   "error"?: { "class": "unreachable" | "locked" | "interrupted" | "gate" | "deploy" | "health" | "drain" | "budget" | "held" | "load_balancer" | "journal", "message" },
//!   "steps": [ { "step": "gate" | "deploy" | "health" | "ready" | "up" | "settle" | "drain" | "sessions" | "kill" | "maint" | "live",
//!                "text", "status": "done" | "failed" | "planned", "message"?, "reverting"?: true, "duration_ms" } ],
//!   "remarks": ["…"],
//!   "hosts"?: { "done": ["web1"], "failed": [], "unfinished": [], "untouched": [] },
//!   "load_balancers": [ { "host", "version"?, "error"?,
//!       "backends": [ { "backend", "in_service", "floor",
//!           "servers": [ { "server", "host", "pool", "admin": "ready" | "drain" | "maint", "up", "in_service", "held"?: true, "sessions", "queued", "address" } ] } ] } ] }
//! ```
//!
//! `result`: `reverted` means the traffic is where it was before; `stopped` means it is not known to
//! be (only with `auto_revert: false` or if taking back failed), or that some hosts are replaced and
//! others are not; `incomplete` means that all are replaced but those that somebody else holds;
//! `refused` means nothing was touched. `hosts` is there where hosts are replaced.

mod act;
mod balancer;
mod call;
mod describe;
mod drive;
mod file;
mod fleet;
mod forecast;
mod health;
mod journal;
mod operation;
mod perform;
mod plan;
mod replace;
mod report;
mod setup;
mod trouble;
mod world;

pub use call::Wish;
pub use file::{SwapFile, Work};
pub use journal::Journal;
pub use operation::Playbooks;
pub use perform::{Asked, Conclusion, Means, perform};
pub use report::{Action, Report, Verdict};
pub use setup::Setup;
pub use trouble::{Class, Trouble};
pub use world::{Pool, Rules};

#[cfg(test)]
mod tests;
