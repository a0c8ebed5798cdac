//! The rules by which an HTTP answer ends.
//!
//! A server stops polling a body in more ways than at its `None`: after the last byte of a declared
//! length, at once if there is nothing to send, or because the client is gone. The first of these
//! that is seen ends the request; a drop without any of them is read by what came before.

use std::time::Duration;

use super::ResponseState;
use crate::clock::{self, Instant};
use crate::llm::meter::Made;
use crate::llm::outcome::{End, Outcome};
use crate::llm::reading::{Account, Kind};
use crate::llm::stream::Seen;
use crate::llm::timing::Timing;

/// What a timer may be early by, to another clock than its own.
const TIMER_SLACK: Duration = Duration::from_millis(1);

impl ResponseState {
    /// What an answer is that was passed on whole.
    pub(super) fn outcome_of_all(&self) -> Outcome {
        match (&self.head, self.seen()) {
            (_, Some(seen)) if seen.failed => Outcome::ServerError,
            (_, Some(seen)) if seen.needs_marker && !seen.complete && !self.is_made() => {
                Outcome::Incomplete
            }
            (Some(head), _) if head.lacks_status() && !self.is_made() => Outcome::Incomplete,
            (Some(head), _) => head.outcome(),
            (None, _) => Outcome::Success,
        }
    }

    fn seen(&self) -> Option<&Seen> {
        self.reading.as_ref().map(|reading| reading.seen())
    }

    /// Whether its producer says that all is made.
    fn is_made(&self) -> bool {
        self.call.made().is_some_and(Made::is_complete)
    }

    /// Ends the request; the first end counts.
    pub(super) fn end(&mut self, outcome: Outcome, now: Instant) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let end = match &self.head {
            Some(head) => head.end(outcome),
            None => End { outcome, in_body: false, status: None },
        };
        let mut of_frontend = end;
        let (mut frontend, grpc) = match self.extras.as_deref_mut() {
            Some(extras) => (extras.frontend.as_mut(), extras.grpc.take()),
            None => (None, None),
        };
        if let Some(grpc) = grpc {
            of_frontend.status = grpc.as_http().or(end.status);
            grpc.end();
        }
        let mut reading = self.reading.take();
        if let Some(reading) = &mut reading {
            reading.finish(now);
        }
        // What a client that left was not handed on is nobody's.
        let made = if outcome == Outcome::Cancelled { None } else { self.call.made() };
        let made = made.map_or(0, Made::tokens);
        let unread;
        let account = match &reading {
            Some(reading) => Some(reading.account(made)),
            None if made > 0 => {
                unread = (Seen::default(), Timing::new(self.call.token_start(), now));
                Some(Account::new(&unread.0, &unread.1, Kind::Messages, made))
            }
            None => None,
        };
        if let Some(account) = &account {
            // What was not counted as it passed.
            let uncounted = account.tokens.saturating_sub(account.seen.tokens);
            if uncounted > 0 {
                self.call.output_tokens(uncounted);
            }
            if let Some(frontend) = &mut frontend {
                frontend.account(account, uncounted);
            }
        }
        if let Some(frontend) = &mut frontend {
            frontend.end(of_frontend, now.since(self.call.started()));
        }
        self.call.end_at(end, now, None, account.as_ref());
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_late(&self) -> bool {
        let waited = || self.call.started().elapsed() + TIMER_SLACK;
        let deadline = self.extras.as_ref().and_then(|extras| extras.deadline);
        deadline.is_some_and(|deadline| waited() >= deadline)
    }

    /// What a drop says, going by what came before it.
    fn outcome_of_drop(&self) -> Outcome {
        let dropped = match self.call.outcome_of_drop() {
            Outcome::Cancelled if self.is_late() => Outcome::Timeout,
            dropped => dropped,
        };
        let Some(head) = &self.head else { return dropped };
        if dropped == Outcome::Panic {
            return dropped;
        }
        let (complete, failed) =
            self.seen().map_or((false, false), |seen| (seen.complete, seen.failed));
        // Triton's client cancels a call that it could ask more of, once it has the last response.
        if head.lacks_status() && (complete || self.is_made()) && !failed {
            return head.outcome();
        }
        // Servers drop a body of a declared length right after its last byte, and the sync OpenAI
        // client closes the connection at the marker. What failed by its own account was not
        // cancelled.
        if head.is_whole(self.bytes) || complete || failed || self.is_made() {
            self.outcome_of_all()
        } else {
            dropped
        }
    }
}

impl Drop for ResponseState {
    fn drop(&mut self) {
        if !self.ended {
            self.end_reading();
            self.end(self.outcome_of_drop(), clock::now());
        }
    }
}
