//! `waivers.yml`: what is refused, with which words.

use fleet::diagnostic::render;
use fleet::waiver::Waivers;

use crate::cases::check_all;

#[test]
fn invalid_waivers_are_refused_with_place_and_way_out() {
    check_all("waiver/invalid", |path| match Waivers::load(path) {
        Ok(waivers) => format!("accepted: {waivers:#?}\n"),
        Err(errors) => render(&errors, false),
    });
}
