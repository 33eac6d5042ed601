//! Load balancers in memory: they obey, forget on a reload, and lose servers, and the controller
//! can be killed between any two of their moments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;

use crate::protocol::balancer::{Admin, Cause, Server, ServerName};
use crate::swap::call::{self, Beginning, Refusal, Wish};
use crate::swap::drive::{Drive, Ending, Fleet, Outcome, Start, Terms, drive};
use crate::swap::file::{self, OnTimeout};
use crate::swap::plan::{Record, Stage};
use crate::swap::trouble::{Class, Trouble};
use crate::swap::world::{Member, Pool, Rules, Slot, World};
