//! What links do to messages: they keep their order, and lose them only together with the connection.

use core::time::Duration;

use chacha20::{ChaCha20Rng, rand_core::Rng as _};

use crate::{ids::MemberId, io::Now};

/// Rarely is a link away for longer, in milliseconds.
const LONGEST_BREAK: u64 = 4_000;

/// Rarely is a message late by more, in milliseconds.
const LONGEST_DELAY: u64 = 8_000;

/// How often links misbehave, in thousandths of all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// The connection breaks, everything on its way between the two is lost, and it comes back after a while.
    pub breaks: u16,
    /// The message and everything after it on this link is late.
    pub delays: u16,
    /// The message comes a second time, after what was already on its way.
    pub repeats: u16,
}

/// What happens to one message.
pub(super) enum Fate {
    Delivered,
    /// Its link breaks until then.
    Broken(Now),
    /// Its link stands still until then.
    Late(Now),
    Repeated,
}

impl Weather {
    pub(super) fn fate(&self, now: Now, rng: &mut ChaCha20Rng) -> Fate {
        if *self == Self::default() {
            return Fate::Delivered;
        }
        let draw = rng.next_u64();
        let (event, within) = ((draw % 1000) as u16, draw >> 32);
        let after = |longest: u64| now + Duration::from_millis(1 + within % longest);
        if event < self.breaks {
            Fate::Broken(after(LONGEST_BREAK))
        } else if event < self.breaks + self.delays {
            Fate::Late(after(LONGEST_DELAY))
        } else if event < self.breaks + self.delays + self.repeats {
            Fate::Repeated
        } else {
            Fate::Delivered
        }
    }
}

/// Both ends of a connection, in order.
pub(super) fn between(one: MemberId, other: MemberId) -> (MemberId, MemberId) {
    if one <= other { (one, other) } else { (other, one) }
}
