//! Small worlds explored exhaustively: the keyring's own code, and everything that may happen around it
//! within the bounds of policy.
//!
//! Nothing of the keyring is rewritten here. Plans are made by [`keystile_keyring::plan`], tokens are judged by
//! [`keystile_keyring::Manifest::admit`]; the explorer only decides what happens when.
//!
//! **Replicas are a set, not a list.** What a replica does at an instant depends on two things: the generation
//! it holds and what its clock shows. So instead of three replicas with a history, every pair that any history
//! could have brought about is asked at every instant ([`scene::Scene::holders`]): the generation that was the
//! newest when a read within the staleness began, and each clock offset. That covers any number of replicas,
//! for what one replica says does not depend on another, but for the gate; there the reports of a replica that
//! lags in every possible way stand beside those of one that does not ([`gates`]).
//!
//! **Clocks.** Only differences between clocks matter. True time is what the slowest clock shows, so with
//! max_skew 1 each clock is 0 or 1 ahead: replicas' and operators' alike.
//!
//! **Operators are steps.** A plan that loses the race, or whose operator dies before the commit, leaves
//! nothing behind: the next one plans on the same generation. So two operators who interleave are a sequence of
//! landings, each planned on the generation before it by a clock of its own, up to commit_delay earlier, or
//! later and extended.

#![allow(dead_code, unreachable_pub, reason = "the tests and the command each use their part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an exploration that cannot go on fails")]

pub mod act;
pub mod fingerprint;
pub mod gates;
pub mod judge;
pub mod landing;
pub mod menu;
pub mod rules;
pub mod scene;
pub mod search;
pub mod settings;
pub mod story;
pub mod weaker;
