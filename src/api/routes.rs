//! The table of operations: paths, methods, IAM actions.
//!
//! CORS, the `allow` header, the record and `explain` read this table. So do the tests of the templates,
//! the role and the OpenAPI document. A new operation is a row here and a variant of [`Operation`].

use super::batch_get_status::BatchGetStatus;
use super::get_status::GetStatus;
use super::{RequestContext, Response};
use crate::caller::{Caller, IdentityError};
use crate::domain::MessageRef;
use crate::event::Event;
use crate::problem::{Problem, ProblemType};

/// One operation of the HTTP API.
pub struct Route {
    /// The path. A stage or a base path may precede it.
    pub path: &'static str,
    /// The HTTP methods.
    pub methods: &'static [&'static str],
    /// The name of the operation in the record.
    pub name: &'static str,
    /// The IAM action that the function's role needs for it.
    pub iam_action: &'static str,
    read: fn(&Event<'_>, Caller) -> Result<Operation, Problem>,
}

/// All operations.
pub const ROUTES: &[Route] = &[
    Route {
        path: "/message-status",
        methods: &["GET", "HEAD"],
        name: "GetStatus",
        iam_action: "chime:GetChannelMessageStatus",
        read: |event, caller| GetStatus::read(event, caller).map(Operation::GetStatus),
    },
    Route {
        path: "/message-status",
        methods: &["POST"],
        name: "BatchGetStatus",
        iam_action: "chime:GetChannelMessageStatus",
        read: |event, caller| BatchGetStatus::read(event, caller).map(Operation::BatchGetStatus),
    },
];

/// A request whose input was validated.
pub enum Operation {
    /// The status of one message.
    GetStatus(GetStatus),
    /// The statuses of many messages.
    BatchGetStatus(BatchGetStatus),
}

impl Operation {
    pub(super) async fn respond(&self, request: &RequestContext<'_>) -> Result<Response, Problem> {
        match self {
            Self::GetStatus(operation) => operation.respond(request).await,
            Self::BatchGetStatus(operation) => operation.respond(request).await,
        }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::GetStatus(operation) => &operation.caller,
            Self::BatchGetStatus(operation) => &operation.caller,
        }
    }

    /// The messages in the order of the request.
    pub fn messages(&self) -> &[MessageRef] {
        match self {
            Self::GetStatus(operation) => std::slice::from_ref(&operation.message),
            Self::BatchGetStatus(operation) => &operation.messages,
        }
    }
}

/// The target of a request, found by path and method.
pub enum Target {
    /// An operation.
    Route(&'static Route),
    /// A CORS preflight, which needs no identity.
    Preflight,
}

impl Target {
    /// Finds the target of a request.
    ///
    /// # Errors
    /// `route-not-found` or `method-not-allowed`.
    pub fn find(event: &Event<'_>, handles_preflights: bool) -> Result<Self, Problem> {
        let mut methods = methods(event).peekable();
        if methods.peek().is_none() {
            return Err(Problem::new(ProblemType::RouteNotFound));
        }
        if event.method() == "OPTIONS" && handles_preflights {
            return Ok(Self::Preflight);
        }
        let route = at_path(event).find(|route| route.methods.contains(&event.method()));
        route.map(Self::Route).ok_or_else(|| {
            let options = handles_preflights.then_some("OPTIONS");
            let allow: Vec<_> = methods.chain(options).collect();
            Problem::method_not_allowed(allow.join(", "))
        })
    }
}

impl Route {
    /// Validates the input of a request.
    ///
    /// # Errors
    /// The [`Problem`] to respond with. Chime is not called.
    pub fn read(
        &self,
        event: &Event<'_>,
        caller: Result<Caller, IdentityError>,
    ) -> Result<Operation, Problem> {
        (self.read)(event, caller?)
    }
}

/// The methods of all operations at the path of a request.
pub(super) fn methods(event: &Event<'_>) -> impl Iterator<Item = &'static str> {
    at_path(event).flat_map(|route| route.methods).copied()
}

fn at_path(event: &Event<'_>) -> impl Iterator<Item = &'static Route> {
    ROUTES
        .iter()
        .filter(|route| event.path.ends_with(route.path))
}
