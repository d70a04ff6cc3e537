//! How every change of the keyring is carried out: read, plan, show or commit, answer.

use keystile_keyring::manifest::{DoneRequest, Operation};
use keystile_keyring::plan::{Impact, Plan, Planned, Request, Verb};
use keystile_keyring::{Code, Gate, Kid, Manifest, RequestId};
use keystile_operator::{Committed, OperateError, Operator, Outcome, Rotation};
use keystile_store::CommitError;
use serde::Serialize;

use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::picture::{Labels, gate_in_words};
use crate::plan_text;
use crate::teller::Teller;
use crate::when::When;

/// Why, and whether it was asked before.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Asked {
    /// Why, for the keyring's history; `revoke` and `retire --force` need it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Makes it idempotent: run again with the same id, it reports the first outcome
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
}

impl Asked {
    /// The request to do `verb`.
    pub(crate) fn request(&self, app: &App, verb: Verb) -> Request {
        let (reason, request_id) = (self.reason.clone(), self.request_id.clone());
        Request { verb, actor: app.actor(), reason, request_id }
    }
}

/// What a change came to. Schema `keystile/change/v1`.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeReport {
    /// The verb.
    verb: String,
    /// `would-change`, `would-wait`, `committed`, `done-before` or `nothing`.
    outcome: &'static str,
    /// The generation that it makes, made, or was made by when it was done before.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    /// The key that it is about: the one that was made, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Kid>,
    /// What it does to the running fleet. Instants are seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    impact: Option<Impact>,
    /// Why there was nothing to do, or what a rotation would wait for.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl ChangeReport {
    fn of(verb: &str, outcome: &'static str) -> Self {
        Self { verb: verb.to_owned(), outcome, generation: None, kid: None, impact: None, why: None }
    }
}

/// What is said, in a sentence or two, once a change is committed.
pub(crate) type Said<'a> = &'a (dyn Fn(&Plan, &Labels, &When) -> String + Sync);

/// How a request is carried out.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// Planned and shown.
    Dry,
    /// Planned and committed.
    Once,
    /// As many steps as it takes, with waits between them.
    Rotation(Rotation),
}

impl How {
    /// Dry, or once.
    pub(crate) fn once(dry_run: bool) -> Self {
        if dry_run { Self::Dry } else { Self::Once }
    }
}

/// Carries out a request, and answers.
pub(crate) async fn carry_out(app: &App, request: &Request, how: How, said: Said<'_>) -> Result<(), Failure> {
    let operator = app.operator()?;
    if matches!(how, How::Dry) {
        let planned = operator.preview(request).await.map_err(|error| failure(&error, app))?;
        return show(app, request.verb.name(), planned);
    }
    let (outcome, teller) = match how {
        How::Rotation(rotation) => {
            let mut teller = Teller::of_steps(app).patient(!rotation.no_wait);
            (rotate(&operator, request, rotation, &mut teller).await, teller)
        }
        How::Dry | How::Once => {
            let mut teller = Teller::of_one_step(app);
            let applied = operator.apply(request, &mut teller).await;
            (applied.map_err(|error| failure(&error, app)), teller)
        }
    };
    match outcome? {
        Outcome::Committed(committed) => tell(app, &committed, teller.last(), said),
        Outcome::Done(done) => done_before(app, &done),
        Outcome::Nothing(why) => nothing(app, request.verb.name(), why),
    }
}

async fn rotate(
    operator: &Operator,
    request: &Request,
    rotation: Rotation,
    teller: &mut Teller<'_>,
) -> Result<Outcome, Failure> {
    let app = teller.app();
    let outcome = tokio::select! {
        outcome = operator.rotate(request, rotation, teller) => outcome.map_err(|error| failure(&error, app)),
        Ok(()) = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Other, "stopped; the rotation stays in flight")
            .remedy("go on: keystile rotate; or drop its key: keystile rollback")),
    };
    teller.settle();
    outcome
}

/// Shows what was planned.
fn show(app: &App, verb: &str, planned: Planned) -> Result<(), Failure> {
    match planned {
        Planned::Change(plan) => show_plan(app, &plan),
        Planned::Wait { gate, operation } => would_wait(app, verb, &gate, &operation),
        Planned::Done(done) => done_before(app, &done),
        Planned::Nothing(why) => nothing(app, verb, why),
    }
}

/// Shows a plan.
pub(crate) fn show_plan(app: &App, plan: &Plan) -> Result<(), Failure> {
    let report = ChangeReport {
        generation: Some(plan.next.generation),
        impact: Some(plan_text::provisional(plan)),
        ..ChangeReport::of(plan.verb, "would-change")
    };
    app.answer("keystile/change/v1", &report, || {
        let text = plan_text::plan(plan, app.width(), app.paint(&app.world.stdout));
        format!("{text}Nothing was changed.\n")
    })
}

fn would_wait(app: &App, verb: &str, gate: &Gate, operation: &Operation) -> Result<(), Failure> {
    let when = app.when();
    let why = gate_in_words(gate, &when);
    let report = ChangeReport {
        kid: Some(operation.to_kid.clone()),
        why: Some(why.clone()),
        ..ChangeReport::of(verb, "would-wait")
    };
    app.answer("keystile/change/v1", &report, || {
        format!("Would go on with {}: {why}.\nNothing was changed.\n", operation.id)
    })
}

/// Answers that a change was committed.
pub(crate) fn tell(app: &App, done: &Committed, plan: Option<&Plan>, said: Said<'_>) -> Result<(), Failure> {
    let report = ChangeReport {
        generation: Some(done.generation),
        kid: done.made.clone(),
        impact: Some(done.impact.clone()),
        ..ChangeReport::of(done.verb, "committed")
    };
    app.answer("keystile/change/v1", &report, || {
        plan.map_or_else(String::new, |plan| said(plan, &Labels::of(&plan.next), &app.when()))
    })
}

fn done_before(app: &App, done: &DoneRequest) -> Result<(), Failure> {
    let report = ChangeReport {
        generation: Some(done.generation),
        kid: done.kid.clone(),
        ..ChangeReport::of(&done.verb, "done-before")
    };
    app.answer("keystile/change/v1", &report, || {
        let kid = done.kid.as_ref().map_or(String::new(), |kid| format!(", key {kid}"));
        let at = app.when().both(done.at);
        format!(
            "Request {} was done before: {} in generation {}{kid}, {at}. Nothing was changed.\n",
            done.request_id, done.verb, done.generation
        )
    })
}

/// Answers that there was nothing to do.
pub(crate) fn nothing(app: &App, verb: &str, why: String) -> Result<(), Failure> {
    let report = ChangeReport { why: Some(why), ..ChangeReport::of(verb, "nothing") };
    app.answer("keystile/change/v1", &report, || {
        format!("Nothing to do: {}.\n", report.why.as_deref().unwrap_or_default())
    })
}

/// The keyring in the store, without its private keys.
pub(crate) async fn manifest(app: &App) -> Result<Manifest, Failure> {
    let loaded = app.store()?.load_public().await;
    loaded.map(|loaded| loaded.manifest).map_err(|error| Failure::of(Exit::Unreachable, &error))
}

/// What an operation that failed says.
pub(crate) fn failure(error: &OperateError, app: &App) -> Failure {
    match error {
        OperateError::Refused(refusal) => refusal.clone().into(),
        OperateError::Held { gate, operation, generation } => Failure::refused(
            code(gate),
            format!("{} is in flight: {}", operation.id, gate_in_words(gate, &app.when())),
        )
        .remedy("go on: keystile rotate; or drop its key: keystile rollback")
        .at(*generation),
        other => Failure::of(exit(other), other),
    }
}

fn code(gate: &Gate) -> Code {
    match gate {
        Gate::Unattended => Code::NoReplicas,
        Gate::Replicas { .. } => Code::ReplicaBehind,
        Gate::Caches { .. } | Gate::Open { .. } => Code::CachesNotRunOut,
    }
}

fn exit(error: &OperateError) -> Exit {
    if matches!(error, OperateError::Commit(CommitError::Invalid(_))) {
        return Exit::Other;
    }
    match error.class() {
        keystile_operator::Failure::Refused => Exit::Refused,
        keystile_operator::Failure::Conflict => Exit::Conflict,
        keystile_operator::Failure::Store => Exit::Unreachable,
        keystile_operator::Failure::Other => Exit::Other,
    }
}
